// Jobs of several models in one report.
#include "server/ranking/compare_models.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "server/ranking/decision_data.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Model {
  std::int64_t parameters = 0;
  double speedup = 2;   // of every variant but fp16
  double loss = 0.1;    // of them, nats per token
  double fp16_nll = 3;  // 0: no losses are measured
  std::vector<std::string> variants = {"fp16", "rtn-w4"};
  int prompts = 20;
  int windows = 10;
};

// Jobs with what they point to.
class Jobs {
 public:
  Jobs& Add(const Model& model) {
    const std::string number = std::to_string(jobs_.size() + 1);
    Recorder recorder(model.variants);
    for (int v = 0; v < static_cast<int>(model.variants.size()); ++v) {
      const bool fp16 = model.variants[static_cast<std::size_t>(v)] == "fp16";
      for (int prompt = 0; prompt < model.prompts; ++prompt) {
        const double jitter = 1 + (fp16 ? 0 : 0.01 * ((prompt * 7) % 5 - 2));
        recorder.Timing(v, prompt, 0, (1 + 0.2 * prompt) * jitter / (fp16 ? 1 : model.speedup), 50);
      }
      for (int window = 0; window < (model.fp16_nll > 0 ? model.windows : 0); ++window) {
        const double shift = 0.1 * (window - (model.windows - 1) / 2.0), own = 0.01 * (window % 2 * 2 - 1);
        recorder.Window(v, window, model.fp16_nll + shift + (fp16 ? 0 : model.loss + own));
      }
    }
    const Measurements measurements = recorder.measurements();
    measures_.push_back(*Measure(measurements));
    resampled_.push_back(PrepareDecision(measurements).resampled);
    jobs_.push_back({"jobs/" + number, "model-" + number, model.parameters, "", &measures_.back(), &resampled_.back()});
    return *this;
  }
  std::vector<ModelJob>& jobs() { return jobs_; }
  std::vector<VariantMeasures>& measures(std::size_t job) { return measures_[job]; }
  ModelComparison Compare() const {
    const auto comparison = CompareModels(jobs_);
    EXPECT_TRUE(comparison.ok()) << comparison.status();
    return comparison.ok() ? *comparison : ModelComparison{};
  }

 private:
  std::deque<std::vector<VariantMeasures>> measures_;
  std::deque<Resampled> resampled_;
  std::vector<ModelJob> jobs_;
};

TEST(CompareModels, ToldByTheirSize) {
  const ModelComparison comparison =
      Jobs().Add({.parameters = 7'000'000'000}).Add({.parameters = 135'000'000}).Compare();
  ASSERT_EQ(comparison.models.size(), 2u);
  EXPECT_EQ(comparison.models[0].job, "jobs/2") << "the smallest first";
  EXPECT_EQ(comparison.models[1].parameters, 7'000'000'000);
}

TEST(CompareModels, HoldsEachVariantAgainstFp16OfItsModel) {
  const ModelComparison comparison = Jobs().Add({.parameters = 1, .speedup = 2}).Add({.parameters = 10}).Compare();
  const MeasuredModel& model = comparison.models[0];
  EXPECT_NEAR(*model.nll, 3, 1e-9);
  EXPECT_EQ(model.memory_bytes, 1000);
  ASSERT_EQ(model.variants.size(), 1u) << "fp16 is what they are held against";
  const ModelVariant& w4 = model.variants[0];
  EXPECT_NEAR(w4.speedup->value, 2, 0.01);
  EXPECT_LT(w4.speedup->interval->low, w4.speedup->value);
  EXPECT_NEAR(w4.nll_loss->value, 0.1, 1e-9);
  EXPECT_NEAR(w4.relative_loss->value, 0.1 / 3, 1e-9);
  EXPECT_NEAR(w4.perplexity_ratio->value, std::exp(0.1), 1e-9);
  EXPECT_NEAR(w4.perplexity_ratio->interval->high, std::exp(w4.nll_loss->interval->high), 1e-12);
  EXPECT_LE(w4.relative_loss->interval->low, 0.1 / 3);
  EXPECT_GE(w4.relative_loss->interval->high, 0.1 / 3);
  EXPECT_NEAR(*w4.memory_ratio, 1, 1e-12);
  EXPECT_EQ(w4.reason, "");
}

// Twice the speed-up and half the loss with each tenfold.
TEST(CompareModels, TellsTheTrendOfSpeedAndLoss) {
  const ModelComparison comparison = Jobs()
                                         .Add({.parameters = 100, .speedup = 1, .loss = 0.4})
                                         .Add({.parameters = 1000, .speedup = 2, .loss = 0.3})
                                         .Add({.parameters = 10000, .speedup = 4, .loss = 0.2})
                                         .Compare();
  ASSERT_EQ(comparison.trends.size(), 1u);
  const VariantTrend& trend = comparison.trends[0];
  EXPECT_EQ(trend.variant, "rtn-w4");
  EXPECT_NEAR(trend.speed->slope, 1, 1e-9) << "a doubling";
  EXPECT_NEAR(trend.nll_loss->slope, -0.1, 1e-9);
  EXPECT_NEAR(trend.relative_loss->slope, -0.1 / 3, 1e-9);
  EXPECT_TRUE(trend.speed->covers_models);
  EXPECT_GT(trend.speed->interval.low, 0);
  EXPECT_LT(trend.nll_loss->interval.high, 0);
  EXPECT_TRUE(
      AnyContains(comparison.notes, "three models or more are of the measurement and of what models differ in"));
}

TEST(CompareModels, SaysWhatTwoModelsCannotTell) {
  const ModelComparison comparison = Jobs().Add({.parameters = 1}).Add({.parameters = 10}).Compare();
  EXPECT_FALSE(comparison.trends[0].speed->covers_models);
  EXPECT_TRUE(AnyContains(comparison.notes, "over two models are of the measurement alone"));
}

TEST(CompareModels, WarnsOfWhatDependsOnTokenizers) {
  EXPECT_TRUE(AnyContains(Jobs().Add({.parameters = 1}).Add({.parameters = 10}).Compare().notes, "another tokenizer"));
}

// A speed-only job, as of a synthetic model, beside one with losses.
TEST(CompareModels, DoesNotTakeAnUnmeasuredLossForNone) {
  const ModelComparison comparison =
      Jobs().Add({.parameters = 1}).Add({.parameters = 10, .fp16_nll = 0}).Add({.parameters = 100}).Compare();
  const ModelVariant& silent = comparison.models[1].variants[0];
  EXPECT_FALSE(comparison.models[1].nll.has_value());
  EXPECT_FALSE(silent.nll_loss.has_value());
  EXPECT_FALSE(silent.relative_loss.has_value());
  EXPECT_FALSE(silent.perplexity_ratio.has_value());
  EXPECT_EQ(silent.reason, "loss not measured");
  EXPECT_EQ(comparison.trends[0].speed->models, 3);
  EXPECT_EQ(comparison.trends[0].relative_loss->models, 2);
  EXPECT_TRUE(AnyContains(comparison.notes, "over three models or more"));
  EXPECT_TRUE(AnyContains(comparison.notes, "over two models are of the measurement alone")) << "the losses'";
}

TEST(CompareModels, HasNoTrendOfLossesThatNobodyMeasured) {
  const ModelComparison comparison =
      Jobs().Add({.parameters = 1, .fp16_nll = 0}).Add({.parameters = 10, .fp16_nll = 0}).Compare();
  EXPECT_TRUE(comparison.trends[0].speed.has_value());
  EXPECT_FALSE(comparison.trends[0].nll_loss.has_value());
  EXPECT_FALSE(AnyContains(comparison.notes, "tokenizer"));
}

TEST(CompareModels, LeavesTooSmallSamplesOutOfTheTrend) {
  const ModelComparison comparison = Jobs()
                                         .Add({.parameters = 1})
                                         .Add({.parameters = 10, .prompts = 4, .windows = 4})
                                         .Add({.parameters = 100})
                                         .Compare();
  const ModelVariant& few = comparison.models[1].variants[0];
  EXPECT_NEAR(few.speedup->value, 2, 0.05);
  EXPECT_FALSE(few.speedup->interval.has_value());
  EXPECT_NEAR(few.relative_loss->value, 0.1 / 3, 1e-9);
  EXPECT_THAT(few.reason, HasSubstr("speed of fewer than 5 prompts: no interval, and not in the trend"));
  EXPECT_THAT(few.reason, HasSubstr("loss of fewer than 5 windows"));
  EXPECT_EQ(comparison.trends[0].speed->models, 2);
}

TEST(CompareModels, SaysWhyAVariantHasNoLoss) {
  Jobs jobs;
  jobs.Add({.parameters = 1, .loss = std::numeric_limits<double>::infinity()}).Add({.parameters = 10});
  const ModelComparison comparison = jobs.Compare();
  EXPECT_FALSE(comparison.models[0].variants[0].nll_loss.has_value());
  EXPECT_THAT(comparison.models[0].variants[0].reason, HasSubstr("the variant has collapsed"));
  EXPECT_FALSE(comparison.trends[0].nll_loss.has_value()) << "of one model";
}

TEST(CompareModels, SaysWhichVariantsWereStopped) {
  Jobs jobs;
  jobs.Add({.parameters = 1}).Add({.parameters = 10});
  jobs.measures(0)[1].stopped = "rtn-w8 is surely better";
  EXPECT_EQ(jobs.Compare().models[0].variants[0].reason, "not measured to the end: rtn-w8 is surely better");
}

TEST(CompareModels, HasTrendsOfVariantsInSeveral) {
  const ModelComparison comparison = Jobs()
                                         .Add({.parameters = 1, .variants = {"fp16", "a", "b"}})
                                         .Add({.parameters = 10, .variants = {"fp16", "c", "b"}})
                                         .Add({.parameters = 100, .variants = {"c", "fp16"}})
                                         .Compare();
  std::vector<std::string> names;
  for (const VariantTrend& trend : comparison.trends) names.push_back(trend.variant);
  EXPECT_THAT(names, ElementsAre("b", "c"));
}

TEST(CompareModels, OfOneSizeHaveNoTrend) {
  const ModelComparison comparison = Jobs().Add({.parameters = 5}).Add({.parameters = 5}).Compare();
  EXPECT_FALSE(comparison.trends[0].speed.has_value());
  EXPECT_TRUE(AnyContains(comparison.notes, "the same number of parameters: no trend"));
}

TEST(CompareModels, NameTheReleaseThatLossesAreRelativeTo) {
  Jobs jobs;
  jobs.Add({.parameters = 1}).Add({.parameters = 10});
  jobs.jobs()[0].release_format = "Q4_1";
  EXPECT_TRUE(AnyContains(jobs.Compare().notes, "losses of model-1 are relative to its Q4_1 release"));
}

TEST(CompareModels, DoNotDependOnTheOrderOfJobs) {
  Jobs jobs;
  jobs.Add({.parameters = 1, .speedup = 1.3})
      .Add({.parameters = 10, .speedup = 1.9})
      .Add({.parameters = 70, .loss = .2});
  const ModelComparison there = jobs.Compare();
  std::reverse(jobs.jobs().begin(), jobs.jobs().end());
  const ModelComparison back = jobs.Compare();
  for (std::size_t m = 0; m < 3; ++m) EXPECT_EQ(there.models[m].job, back.models[m].job);
  EXPECT_EQ(there.trends[0].speed->slope, back.trends[0].speed->slope);
  EXPECT_EQ(there.trends[0].relative_loss->interval.low, back.trends[0].relative_loss->interval.low);
  EXPECT_EQ(there.notes, back.notes);
}

TEST(CompareModels, NeedFp16InEachJob) {
  const auto status = CompareModels(Jobs().Add({.parameters = 1, .variants = {"rtn-w4"}}).jobs()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("jobs/1 has no figures of fp16"));
}

TEST(CompareModels, NeedAVariantInTwoJobs) {
  Jobs jobs;
  jobs.Add({.parameters = 1, .variants = {"fp16", "a"}}).Add({.parameters = 10, .variants = {"fp16", "b"}});
  EXPECT_THAT(std::string(CompareModels(jobs.jobs()).status().message()), HasSubstr("no variant beside fp16"));
}

}  // namespace
}  // namespace uaqf::ranking
