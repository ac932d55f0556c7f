// Scores of tasks, flips, and divergence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/ranking/measures.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using ::testing::HasSubstr;

std::vector<VariantMeasures> Measured(Recorder& recorder) {
  const auto measures = Measure(recorder.measurements());
  EXPECT_TRUE(measures.ok()) << measures.status();
  return measures.ok() ? *measures : std::vector<VariantMeasures>(recorder.measurements().variants.size());
}

TEST(TaskMeasures, CountFlipsBothWays) {
  Recorder recorder({"rtn-w4", "fp16"});
  // Right under fp16: items 0, 1, 2; under rtn-w4: 1, 3, 4.
  for (int item = 0; item < 6; ++item) {
    recorder.Task(1, item, 1, item < 3 ? 1 : 0).Task(0, item, 1, item == 1 || item == 3 || item == 4 ? 1 : 0);
  }
  const auto measures = Measured(recorder);
  ASSERT_EQ(measures[0].tasks.size(), 1u);
  EXPECT_EQ(measures[0].tasks[0].items, 6);
  EXPECT_DOUBLE_EQ(measures[0].tasks[0].score, 0.5);
  EXPECT_EQ(measures[0].tasks[0].flips_to_right, 2);
  EXPECT_EQ(measures[0].tasks[0].flips_to_wrong, 2);
  EXPECT_FALSE(measures[1].tasks[0].flips_to_right.has_value()) << "fp16 against itself";
}

TEST(TaskMeasures, TellWhetherFlipsAreChance) {
  Recorder recorder({"fp16", "rtn-w4"});
  // 20 items that both get right, 8 that rtn-w4 loses, 2 that it gains.
  for (int item = 0; item < 30; ++item) {
    recorder.Task(0, item, 1, item < 28 ? 1 : 0).Task(1, item, 1, item < 20 || item >= 28 ? 1 : 0);
  }
  const auto measures = Measured(recorder);
  const TaskMeasure& task = measures[1].tasks[0];
  EXPECT_NEAR(*task.flip_p_value, 112 / 1024.0, 1e-12);
  EXPECT_NEAR(task.score_change->value, -0.2, 1e-12);
  // Differences: 8 of -1, 2 of 1, 20 of 0: variance (10 - 30 * 0.04) / 29.
  EXPECT_NEAR(*task.score_change->half_width, 2.04523 * std::sqrt((10 - 1.2) / 29 / 30), 1e-4);
  EXPECT_FALSE(measures[0].tasks[0].score_change);
}

// Instruction-level accuracy is over instructions; an item is right when all of its instructions are followed.
TEST(TaskMeasures, WeighItemsByTheirChecks) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Task(0, 0, 8, 1, 1).Task(0, 1, 8, 3, 3).Task(1, 0, 8, 1, 1).Task(1, 1, 8, 2, 3);
  const auto measures = Measured(recorder);
  EXPECT_DOUBLE_EQ(measures[1].tasks[0].score, 0.75);
  EXPECT_EQ(measures[1].tasks[0].flips_to_wrong, 1);
}

TEST(TaskMeasures, CompareOnlyItemsThatBothHave) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Task(0, 0, 3, 1).Task(1, 0, 3, 1).Task(1, 1, 3, 0);
  const auto measures = Measured(recorder);
  EXPECT_EQ(measures[1].tasks[0].items, 2);
  EXPECT_EQ(measures[1].tasks[0].flips_to_wrong, 0);
}

TEST(TaskMeasures, HaveNoFlipsWithoutFp16) {
  Recorder recorder({"rtn-w8"});
  recorder.Task(0, 0, 3, 1);
  EXPECT_FALSE(Measured(recorder)[0].tasks[0].flips_to_wrong.has_value());
}

TEST(TaskMeasures, RefuseARecordTwice) {
  Recorder recorder({"fp16"});
  recorder.Task(0, 0, 3, 1).Task(0, 0, 3, 1);
  EXPECT_THAT(std::string(Measure(recorder.measurements()).status().message()), HasSubstr("there twice"));
}

TEST(DivergenceMeasures, AreMeansOverPositions) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Divergence(1, 0, 0.02, 90, 900).Divergence(1, 1, 0.04, 100, 1000);
  const auto measures = Measured(recorder);
  EXPECT_FALSE(measures[0].divergence.has_value());
  ASSERT_TRUE(measures[1].divergence.has_value() && measures[1].divergence->kl.has_value());
  EXPECT_EQ(measures[1].divergence->positions, 200);
  EXPECT_NEAR(measures[1].divergence->kl->value, 0.03, 1e-12);
  EXPECT_TRUE(measures[1].divergence->kl->half_width.has_value());
  EXPECT_DOUBLE_EQ(measures[1].divergence->same_top, 0.95);
  EXPECT_DOUBLE_EQ(measures[1].divergence->top_agreement, 0.95);
}

TEST(DivergenceMeasures, OfACollapsedVariantHaveNoMean) {
  Recorder recorder({"rtn-w4"});
  recorder.Divergence(0, 0, NAN, 3, 40);
  const auto measures = Measured(recorder);
  ASSERT_TRUE(measures[0].divergence.has_value());
  EXPECT_FALSE(measures[0].divergence->kl.has_value());
  EXPECT_DOUBLE_EQ(measures[0].divergence->same_top, 0.03);
}

// Situation: a window is exact, the other bounded. A bound is no point, and neither is their mean.
TEST(DivergenceMeasures, OfABoundedWindowHaveTwoSidesAndNoPoint) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Divergence(1, 0, 0.02, 90, 900).Bounded(1, 1, 0.03, 0.05, 64);
  const auto measures = Measured(recorder);
  ASSERT_TRUE(measures[1].divergence.has_value() && measures[1].divergence->kl_upper.has_value());
  EXPECT_FALSE(measures[1].divergence->kl.has_value());
  EXPECT_NEAR(measures[1].divergence->kl_lower->value, 0.025, 1e-12);
  EXPECT_NEAR(measures[1].divergence->kl_upper->value, 0.035, 1e-12);
  EXPECT_LT(*measures[1].divergence->kl_lower->half_width, *measures[1].divergence->kl_upper->half_width);
}

TEST(DivergenceMeasures, OfExactWindowsHaveEqualSides) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Divergence(1, 0, 0.02, 90, 900);
  const auto measures = Measured(recorder);
  EXPECT_EQ(measures[1].divergence->kl_lower->value, measures[1].divergence->kl->value);
  EXPECT_EQ(measures[1].divergence->kl_upper->value, measures[1].divergence->kl->value);
}

TEST(DivergenceMeasures, TakeTheTightestBoundOfAWindow) {
  Recorder recorder({"fp16", "rtn-w8", "rtn-w4"});
  recorder.Bounded(1, 0, 0.01, 0.09, 64).Bounded(1, 0, 0.03, 0.04, 256).Bounded(1, 1, 0.03, 0.04, 64);
  // NaN, whatever k.
  recorder.Bounded(2, 0, NAN, NAN, 64).Bounded(2, 0, NAN, NAN, 256);
  recorder.measurements() = KeepTightestBounds(recorder.measurements());
  const auto measures = Measured(recorder);
  EXPECT_EQ(measures[1].divergence->positions, 200);
  EXPECT_NEAR(measures[1].divergence->kl_lower->value, 0.03, 1e-12);
  EXPECT_NEAR(measures[1].divergence->kl_upper->value, 0.04, 1e-12);
  EXPECT_EQ(measures[2].divergence->positions, 100);
  EXPECT_FALSE(measures[2].divergence->kl_upper.has_value());
}

TEST(DivergenceMeasures, HideNoExactWindowThatCameTwice) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Divergence(1, 0, 0.02, 90, 900).Divergence(1, 0, 0.03, 90, 900);
  EXPECT_FALSE(Measure(KeepTightestBounds(recorder.measurements())).ok());
}

}  // namespace
}  // namespace uaqf::ranking
