#include "server/ranking/measures.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include "server/ranking/rank.h"
#include "server/ranking/statistics.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

std::vector<VariantMeasures> Measured(Recorder& recorder) {
  const auto measures = Measure(recorder.measurements());
  EXPECT_TRUE(measures.ok()) << measures.status();
  return measures.ok() ? *measures : std::vector<VariantMeasures>(recorder.measurements().variants.size());
}

// Situation: the store holds one record that no device can have measured; every other record is good.
TEST(Measures, OfOneVariantAreSetAsideForARecordThatCannotBe) {
  struct Case {
    const char* problem;
    std::function<void(Measurements&)> spoil;
    std::function<std::string(const VariantMeasures&)> reason;
  };
  const auto timing = [](const VariantMeasures& m) { return m.timing_records == 0 ? m.timing_problem : ""; };
  const auto window = [](const VariantMeasures& m) { return m.windows == 0 && !m.nll ? m.quality_problem : ""; };
  const auto memory = [](const VariantMeasures& m) { return !m.memory_bytes ? m.memory_problem : ""; };
  const Case cases[] = {
      {"prefill is", [](auto& m) { m.timings.decode_ns.back() = INT64_MAX; }, timing},
      {"latency is 0 ns", [](auto& m) { m.timings.latency_ns.back() = 0; }, timing},
      {"output tokens are -1", [](auto& m) { m.timings.output_tokens.back() = -1; }, timing},
      {"is -1e+300 nats", [](auto& m) { m.windows.nll_sum.back() = -1e300; }, window},
      {"is 1e+300 nats", [](auto& m) { m.windows.nll_sum.back() = 1e300; }, window},
      {"scored tokens are 0", [](auto& m) { m.windows.scored_tokens.back() = 0; }, window},
      {"a sum above 0", [](auto& m) { m.variants.back().memory = Memory{}; }, memory},
  };
  for (const Case& test : cases) {
    Recorder recorder({"fp16", "rtn-w8", "rtn-w4"});
    for (int v = 0; v < 3; ++v) {
      recorder.Timing(v, 0, 0, 1, 10).Timing(v, 0, 1, 1.1, 10).Window(v, 0, 10, 20).Window(v, 1, 10, 21);
    }
    Measurements measurements = recorder.measurements();
    test.spoil(measurements);
    ASSERT_FALSE(Measure(measurements).ok()) << test.problem;
    const auto common = KeepCommonRecords(SetAsideWhatCannotBe(measurements));
    ASSERT_TRUE(common.ok()) << common.status();
    const auto measures = Measure(common->measurements);
    ASSERT_TRUE(measures.ok()) << measures.status();
    EXPECT_THAT(test.reason((*measures)[2]), HasSubstr(test.problem));
    EXPECT_EQ((*measures)[1].timing_records, 2) << test.problem;
    EXPECT_EQ((*measures)[1].windows, 2) << test.problem;
    EXPECT_TRUE((*measures)[1].delta_nll && (*measures)[1].memory_bytes) << test.problem;
    EXPECT_TRUE(test.reason((*measures)[1]).empty()) << test.problem;
    EXPECT_THAT(Notes(*measures, JobFacts{}), Contains(HasSubstr(test.problem)));
  }
}

// Two prompts, two runs, worked out by hand.
TEST(Measures, FollowTheDefinitionsOnAHandWorkedExample) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Timing(0, 0, 0, 1.0, 10).Timing(0, 0, 1, 1.2, 10).Timing(0, 1, 0, 2.0, 30).Timing(0, 1, 1, 2.2, 30);
  recorder.Timing(1, 0, 0, 0.5, 10).Timing(1, 0, 1, 0.5, 10).Timing(1, 1, 0, 1.0, 30).Timing(1, 1, 1, 1.0, 30);
  const auto measures = Measured(recorder);

  const VariantMeasures& fp16 = measures[0];
  EXPECT_EQ(fp16.timing_records, 4);
  EXPECT_EQ(fp16.prompts, 2);
  EXPECT_EQ(fp16.repeats, 2);
  EXPECT_NEAR(fp16.latency_s->value, 1.6, 1e-12);
  EXPECT_NEAR(fp16.ttft_s->value, 0.8, 1e-12);
  // Mean of 10, 8.3333, 15, 13.6364; and 80 tokens in 6.4 s.
  EXPECT_NEAR(fp16.tokens_per_s->value, (10 + 10 / 1.2 + 15 + 30 / 2.2) / 4, 1e-12);
  EXPECT_NEAR(*fp16.token_weighted_tokens_per_s, 12.5, 1e-12);
  // Decode is half of each latency: 3.2 s over 9 + 9 + 29 + 29 gaps.
  EXPECT_NEAR(*fp16.inter_token_s, 3.2 / 76, 1e-12);
  // Each prompt's two latencies are 0.2 apart: sample variance 0.02, pooled the same.
  EXPECT_NEAR(*fp16.latency_deviation_s, std::sqrt(0.02), 1e-12);
  EXPECT_NEAR(*fp16.relative_stability, std::sqrt(0.02) / 1.6, 1e-12);
  const double rate0 = 10 - 10 / 1.2, rate1 = 15 - 30 / 2.2;
  EXPECT_NEAR(*fp16.throughput_deviation, std::sqrt((rate0 * rate0 / 2 + rate1 * rate1 / 2) / 2), 1e-12);
  // Run means 1.5 and 1.7; prompt means 1.1 and 2.1.
  EXPECT_NEAR(*fp16.run_mean_deviation_s, std::sqrt(0.02), 1e-12);
  EXPECT_NEAR(*fp16.across_prompt_deviation_s, std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(*fp16.latency_s->half_width, 12.7062 * std::sqrt(0.02) / std::sqrt(2), 1e-4);
  EXPECT_EQ(*fp16.latency_p50_s, 1.2);
  EXPECT_FALSE(fp16.latency_p95_s.has_value());
  EXPECT_EQ(*fp16.speedup, 1.0);

  EXPECT_NEAR(*measures[1].speedup, 25 / fp16.tokens_per_s->value, 1e-12);
  EXPECT_EQ(*measures[1].latency_deviation_s, 0);
  EXPECT_EQ(*measures[1].memory_bytes, 1000);
}

TEST(Measures, TakePerplexityAsTheExponentialOfTheMeanOfWindowMeans) {
  Recorder recorder({"fp16", "rtn-w4"});
  // Windows of unequal length weigh the same.
  recorder.Window(0, 0, 2.0, 100).Window(0, 1, 3.0, 50).Window(0, 2, 2.5, 100);
  recorder.Window(1, 0, 2.1, 100).Window(1, 1, 3.3, 50).Window(1, 2, 2.7, 100);
  const auto measures = Measured(recorder);

  EXPECT_EQ(measures[0].windows, 3);
  EXPECT_NEAR(*measures[0].nll, 2.5, 1e-12);
  EXPECT_NEAR(*measures[0].perplexity, std::exp(2.5), 1e-9);
  EXPECT_EQ(measures[0].delta_nll->value, 0);
  EXPECT_EQ(*measures[0].delta_perplexity, 0);
  // Differences 0.1, 0.3, 0.2: mean 0.2, deviation 0.1, t(2) = 4.30265.
  EXPECT_NEAR(measures[1].delta_nll->value, 0.2, 1e-12);
  EXPECT_NEAR(*measures[1].delta_nll->half_width, 4.30265 * 0.1 / std::sqrt(3), 1e-6);
  EXPECT_NEAR(*measures[1].delta_perplexity, std::exp(2.7) - std::exp(2.5), 1e-9);
}

// The loss is a difference on the same windows, whatever else fp16 has scored.
TEST(Measures, PairLossesOnTheWindowsThatBothHave) {
  Recorder recorder({"fp16", "rtn-w4"});
  recorder.Window(0, 0, 2.0).Window(0, 1, 9.0).Window(1, 0, 2.5);
  const auto measures = Measured(recorder);
  EXPECT_NEAR(measures[1].delta_nll->value, 0.5, 1e-12);
  EXPECT_FALSE(measures[1].delta_nll->half_width.has_value());
  EXPECT_NEAR(*measures[1].delta_perplexity, std::exp(2.5) - std::exp(2.0), 1e-9);
}

TEST(Measures, LeaveOutWhatWasNotMeasured) {
  Recorder recorder({"fp16", "rtn-w4", "rtn-w8"});
  recorder.measurements().variants[2].memory.reset();
  recorder.Timing(0, 0, 0, 1, 10).Timing(1, 0, 0, 1, 1);
  const auto measures = Measured(recorder);
  // One run: no deviation over runs and no interval.
  EXPECT_FALSE(measures[0].latency_deviation_s.has_value());
  EXPECT_FALSE(measures[0].relative_stability.has_value());
  EXPECT_FALSE(measures[0].run_mean_deviation_s.has_value());
  EXPECT_FALSE(measures[0].latency_s->half_width.has_value());
  EXPECT_FALSE(measures[0].nll.has_value());
  EXPECT_FALSE(measures[0].delta_nll.has_value());
  EXPECT_FALSE(measures[0].output_length_change.has_value());
  // One token has no gap.
  EXPECT_FALSE(measures[1].inter_token_s.has_value());
  EXPECT_FALSE(measures[2].latency_s.has_value());
  EXPECT_FALSE(measures[2].speedup.has_value());
  EXPECT_FALSE(measures[2].memory_bytes.has_value());
  EXPECT_EQ(measures[2].timing_records, 0);
}

TEST(Measures, LeavePromptsWithOneRunOutOfStability) {
  Recorder recorder({"fp16"});
  recorder.Timing(0, 0, 0, 1.0, 10).Timing(0, 0, 1, 1.2, 10).Timing(0, 1, 0, 5.0, 10);
  EXPECT_NEAR(*Measured(recorder)[0].latency_deviation_s, std::sqrt(0.02), 1e-12);
}

// A run that lacks the long prompt must not look faster than the others.
TEST(Measures, CompareRunsOnThePromptsThatEveryRunHas) {
  Recorder recorder({"fp16"});
  recorder.Timing(0, 0, 0, 1.0, 10).Timing(0, 0, 1, 1.0, 10).Timing(0, 1, 0, 9.0, 10);
  EXPECT_EQ(*Measured(recorder)[0].run_mean_deviation_s, 0);
}

TEST(Measures, DecideAP95FromFiftyNinePromptsOn) {
  for (const int records : {58, 59, 100}) {
    Recorder recorder({"fp16"});
    for (int k = 0; k < records; ++k) recorder.Timing(0, (k * 37) % records, 0, k + 1, 10);
    const auto measures = Measured(recorder);
    EXPECT_EQ(measures[0].latency_p95_s.has_value(), records >= 59) << records;
    if (records == 59) {
      EXPECT_NEAR(*measures[0].latency_p95_s, 57, 1e-9);
    }
    if (records == 100) {
      EXPECT_NEAR(*measures[0].latency_p95_s, 95, 1e-9);
    }
    if (records == 100) {
      EXPECT_NEAR(*measures[0].latency_p50_s, 50, 1e-9);
    }
  }
}

TEST(Measures, PairOutputLengthsOverPrompts) {
  Recorder recorder({"fp16", "rtn-w4"});
  recorder.Generation(0, 0, 10).Generation(0, 1, 20).Generation(1, 0, 12).Generation(1, 1, 24).Generation(1, 7, 500);
  const auto measures = Measured(recorder);
  EXPECT_EQ(measures[1].output_length_change->value, 3);
  EXPECT_NEAR(*measures[1].output_length_change->half_width, 12.7062 * std::sqrt(2.0) / std::sqrt(2), 1e-3);
}

// A collapsed variant brings likelihoods that are no numbers: its quality is missing, the others' is not.
TEST(Measures, KeepACollapsedVariantFromSpoilingTheOthers) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), 1e5}) {
    Recorder recorder({"fp16", "rtn-w4", "rtn-w8"});
    recorder.Window(0, 0, 2).Window(1, 0, 2).Window(1, 1, bad).Window(2, 0, 3);
    const auto measures = Measured(recorder);
    EXPECT_FALSE(measures[1].perplexity.has_value());
    EXPECT_FALSE(measures[1].delta_perplexity.has_value());
    EXPECT_THAT(measures[1].quality_problem, HasSubstr("collapsed"));
    EXPECT_NEAR(measures[2].delta_nll->value, 1, 1e-12);
  }
}

std::string Refusal(Recorder& recorder) {
  const auto measures = Measure(recorder.measurements());
  EXPECT_EQ(measures.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(measures.status().message());
}

TEST(Measures, RefuseRecordsThatCannotBe) {
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Timing(0, 3, 1, 0, 10)), HasSubstr("fp16, item 3, repeat 1: latency is 0 ns"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Timing(0, 0, 0, -1, 10)), HasSubstr("expected above 0"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Timing(0, 0, 0, 1, -1)), HasSubstr("output tokens are -1"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Timing(1, 0, 0, 1, 1)), HasSubstr("expected a variant from 0 to 0"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Timing(0, -1, 0, 1, 1)), HasSubstr("item and repeat of 0 or more"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Timing(0, 0, 128, 1, 1)), HasSubstr("repeats from 0 to 127"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Timing(0, 0, 0, 1, 1).Timing(0, 0, 0, 1, 1)), HasSubstr("each once"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Window(0, 0, 1, 0)), HasSubstr("scored tokens are 0"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Window(0, 0, -1)), HasSubstr("expected 0 or more"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Window(0, 0, 1).Window(0, 0, 1)), HasSubstr("twice"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Generation(0, 0, 1).Generation(0, 0, 1)), HasSubstr("twice"));
  EXPECT_THAT(Refusal(Recorder({"fp16"}).Generation(0, 0, -5)), HasSubstr("output tokens are -5"));
  Recorder names({"fp16", "fp16"});
  EXPECT_THAT(Refusal(names), HasSubstr("listed twice"));
}

TEST(Measures, RefuseColumnsOfUnequalLength) {
  Recorder recorder({"fp16"});
  recorder.Timing(0, 0, 0, 1, 1);
  recorder.measurements().timings.decode_ns.pop_back();
  EXPECT_THAT(Refusal(recorder), HasSubstr("timing table differ in length"));
  Recorder parts({"fp16"});
  parts.Timing(0, 0, 0, 1, 1);
  parts.measurements().timings.prefill_ns[0] = 2'000'000'000;
  EXPECT_THAT(Refusal(parts), HasSubstr("expected parts of the latency"));
  Recorder memory({"fp16"});
  memory.measurements().variants[0].memory->kv_cache_bytes = -1;
  EXPECT_THAT(Refusal(memory), HasSubstr("memory of fp16"));
}

TEST(Statistics, KnowStudentsQuantile) {
  // From tables of the distribution.
  const std::pair<int, double> kKnown[] = {{1, 12.70620}, {2, 4.30265},  {9, 2.26216},   {10, 2.22814},  {11, 2.20099},
                                           {14, 2.14479}, {29, 2.04523}, {100, 1.98397}, {1000, 1.96234}};
  for (const auto& [degrees, value] : kKnown) EXPECT_NEAR(StudentT975(degrees), value, 1.5e-5) << degrees;
}

}  // namespace
}  // namespace uaqf::ranking
