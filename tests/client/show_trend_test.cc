// How figures change with the size of the model, as people and programs read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "client/show.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void Set(double value, double half_width, v1::BoundedFigure* figure) {
  figure->set_value(value);
  figure->mutable_interval()->set_low(value - half_width);
  figure->mutable_interval()->set_high(value + half_width);
}

void Set(double slope, double half_width, int models, v1::Trend* trend) {
  trend->set_slope(slope);
  trend->mutable_interval()->set_low(slope - half_width);
  trend->mutable_interval()->set_high(slope + half_width);
  trend->set_models(models);
  trend->set_covers_models(models > 2);
}

v1::CompareModelsResponse Answer() {
  v1::CompareModelsResponse answer;
  const auto add = [&answer](const char* job, const char* name, std::int64_t parameters, double speedup, double loss) {
    v1::MeasuredModel& model = *answer.add_models();
    model.set_job(job);
    model.set_model(name);
    model.set_parameters(parameters);
    model.set_fp16_tokens_per_s(1e9 / static_cast<double>(parameters));
    model.set_fp16_nll(2.5);
    model.set_fp16_memory_bytes(2 * parameters);
    v1::ModelVariant& variant = *model.add_variants();
    variant.set_variant("rtn-w4-g64");
    Set(speedup, .01, variant.mutable_speedup());
    Set(2.5 * loss, .025, variant.mutable_nll_loss());
    Set(loss, .01, variant.mutable_relative_loss());
    Set(std::exp(2.5 * loss), .03, variant.mutable_perplexity_ratio());
    variant.set_memory_ratio(.41);
  };
  add("jobs/a2b3c4", "tinystories-656k", 656'000, 1.02, .12);
  add("jobs/k7f2m9", "smollm2-135m-instruct", 134'515'008, 1.52, .05);
  add("jobs/b5c6d7", "llama-2-7b-of-a-long-name", 6'738'415'616, 2.9, .011);
  v1::VariantTrend& trend = *answer.add_trends();
  trend.set_variant("rtn-w4-g64");
  Set(.375, .11, 3, trend.mutable_speed());
  Set(-.0675, .03, 3, trend.mutable_nll_loss());
  Set(-.027, .012, 3, trend.mutable_relative_loss());
  answer.add_notes("a token is another amount of text to another tokenizer");
  return answer;
}

TEST(ShowTrend, ShowsEachVariantOverItsModelsAndWhatTheyTell) {
  EXPECT_EQ(TrendText(Answer(), Terminal()),
            "model                    size  job          fp16 tokens/s     NLL   memory\n"
            "tinystories-656k        656 K  jobs/a2b3c4         1524.4  2.5000  1.31 MB\n"
            "smollm2-135m-instruct   135 M  jobs/k7f2m9            7.4  2.5000   269 MB\n"
            "llama-2-7b-of-a-long…  6.74 B  jobs/b5c6d7            0.1  2.5000  13.5 GB\n"
            "\n"
            "rtn-w4-g64: larger models gain more speed and lose less\n"
            "model                    size   speed  95 %               loss  relative  95 %            memory\n"
            "tinystories-656k        656 K  1.020x  [1.010, 1.030]  +0.3000  +12.00 %  [11.00, 13.00]    41 %\n"
            "smollm2-135m-instruct   135 M  1.520x  [1.510, 1.530]  +0.1250   +5.00 %  [4.00, 6.00]      41 %\n"
            "llama-2-7b-of-a-long…  6.74 B  2.900x  [2.890, 2.910]  +0.0275   +1.10 %  [0.10, 2.10]      41 %\n"
            "each tenfold                -  *1.297  [1.202, 1.400]  -0.0675   -2.70 %  [-3.90, -1.50]       -\n"
            "note: a token is another amount of text to another tokenizer\n");
}

TEST(ShowTrend, FitsAHundredColumns) {
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(TrendText(Answer(), Terminal()), '\n'))) {
    EXPECT_LE(DisplayWidth(line), 100) << line;
  }
}

TEST(ShowTrend, ClaimsNoTrendWhoseIntervalHoldsNone) {
  v1::CompareModelsResponse answer = Answer();
  Set(.375, .4, 3, answer.mutable_trends(0)->mutable_speed());
  Set(-.027, .03, 3, answer.mutable_trends(0)->mutable_relative_loss());
  EXPECT_THAT(TrendText(answer, Terminal()), HasSubstr("rtn-w4-g64: no trend of speed or loss found\n"));
}

TEST(ShowTrend, SaysWhichOfTheTwoHasOne) {
  v1::CompareModelsResponse answer = Answer();
  Set(-.027, .03, 3, answer.mutable_trends(0)->mutable_relative_loss());
  EXPECT_THAT(TrendText(answer, Terminal()),
              HasSubstr("rtn-w4-g64: larger models gain more speed; no trend of loss found\n"));
}

TEST(ShowTrend, SaysWhatGrowsTheOtherWay) {
  v1::CompareModelsResponse answer = Answer();
  Set(-.375, .1, 3, answer.mutable_trends(0)->mutable_speed());
  Set(.027, .01, 3, answer.mutable_trends(0)->mutable_relative_loss());
  EXPECT_THAT(TrendText(answer, Terminal()), HasSubstr("larger models gain less speed and lose more\n"));
}

TEST(ShowTrend, SaysThatTwoModelsTellLittle) {
  v1::CompareModelsResponse answer = Answer();
  Set(.375, .1, 2, answer.mutable_trends(0)->mutable_speed());
  EXPECT_THAT(TrendText(answer, Terminal()), HasSubstr("(two models only)\n"));
  EXPECT_THAT(TrendText(Answer(), Terminal()), Not(HasSubstr("two models only")));
}

TEST(ShowTrend, ShowsWhatWasNotMeasuredAsSuchAndWhy) {
  v1::CompareModelsResponse answer = Answer();
  v1::ModelVariant& variant = *answer.mutable_models(0)->mutable_variants(0);
  variant.clear_nll_loss();
  variant.clear_relative_loss();
  variant.clear_perplexity_ratio();
  variant.set_reason("loss not measured");
  const std::string text = TrendText(answer, Terminal());
  EXPECT_THAT(text, HasSubstr("[1.010, 1.030]        -         -  -                 41 %\n"));
  EXPECT_THAT(text, HasSubstr("\ntinystories-656k: loss not measured\n"));
}

TEST(ShowTrend, LeavesOutLossesThatNobodyMeasured) {
  v1::CompareModelsResponse answer = Answer();
  for (v1::MeasuredModel& model : *answer.mutable_models()) {
    model.clear_fp16_nll();
    v1::ModelVariant& variant = *model.mutable_variants(0);
    variant.clear_nll_loss();
    variant.clear_relative_loss();
  }
  answer.mutable_trends(0)->clear_nll_loss();
  answer.mutable_trends(0)->clear_relative_loss();
  const std::string text = TrendText(answer, Terminal());
  EXPECT_THAT(text, Not(HasSubstr("relative")));
  EXPECT_THAT(text, HasSubstr("rtn-w4-g64: larger models gain more speed\n"));
}

TEST(ShowTrend, SaysThatNothingHasATrend) {
  v1::CompareModelsResponse answer = Answer();
  answer.mutable_trends(0)->clear_speed();
  answer.mutable_trends(0)->clear_nll_loss();
  answer.mutable_trends(0)->clear_relative_loss();
  EXPECT_THAT(TrendText(answer, Terminal()), HasSubstr("rtn-w4-g64: no trend: fewer than two models"));
}

TEST(ShowTrend, KeepsItsCsvColumns) {
  const std::string csv = TrendCsv(Answer());
  EXPECT_THAT(csv, HasSubstr("variant,job,model,parameters,release_format,speedup,speedup_low,speedup_high,nll_loss,"
                             "nll_loss_low,nll_loss_high,relative_loss,relative_loss_low,relative_loss_high,"
                             "perplexity_ratio,perplexity_ratio_low,perplexity_ratio_high,memory_ratio,reason,"
                             "log2_speedup_slope,log2_speedup_slope_low,log2_speedup_slope_high,"
                             "log2_speedup_slope_models,nll_loss_slope,nll_loss_slope_low,nll_loss_slope_high,"
                             "nll_loss_slope_models,relative_loss_slope,relative_loss_slope_low,"
                             "relative_loss_slope_high,relative_loss_slope_models\n"
                             "rtn-w4-g64,jobs/a2b3c4,tinystories-656k,656000,,1.02,1.01,1.03,0.3,"));
  EXPECT_THAT(csv, HasSubstr(",0.41,,0.375,0.265,0.485,3,-0.0675,"));
}

// A variant of one model alone has its figures, and no slope.
TEST(ShowTrend, HasEveryVariantInItsCsv) {
  v1::CompareModelsResponse answer = Answer();
  answer.mutable_models(0)->add_variants()->set_variant("gptq-w4");
  answer.mutable_models(0)->mutable_variants(1)->mutable_speedup()->set_value(1.25);
  EXPECT_THAT(TrendCsv(answer),
              HasSubstr("\ngptq-w4,jobs/a2b3c4,tinystories-656k,656000,,1.25,,,,,,,,,,,,,,,,,,,,,,,,,\n"));
}

}  // namespace
}  // namespace uaqf::client
