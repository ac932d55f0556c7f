// The same variants measured twice.
#include "server/ranking/compare_jobs.h"

#include <gmock/gmock.h>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::IsEmpty;

// Twenty prompts in two runs; `noise` shifts which runs are slow.
Recorder Job(const std::vector<std::string>& names, double seconds, int noise, double nll = 3, int prompts = 20) {
  Recorder recorder(names);
  for (int v = 0; v < static_cast<int>(names.size()); ++v) {
    for (int prompt = 0; prompt < prompts; ++prompt) {
      for (int run = 0; run < 2; ++run) {
        const double jitter = 1 + 0.01 * ((prompt * 7 + run * 3 + noise) % 5 - 2);
        recorder.Timing(v, prompt, run, seconds * (1 + prompt * 0.2) * jitter, 50);
      }
    }
    for (int window = 0; window < 8; ++window) recorder.Window(v, window, nll + 0.1 * window);
  }
  return recorder;
}

JobComparison Compare(Recorder one, Recorder other) {
  const auto comparison = CompareJobs(one.measurements(), other.measurements());
  EXPECT_TRUE(comparison.ok()) << comparison.status();
  return comparison.ok() ? *comparison : JobComparison{};
}

TEST(CompareJobs, FindsNothingBetweenEqualMeasurements) {
  const JobComparison same = Compare(Job({"fp16", "a"}, 1, 0), Job({"a", "b"}, 1, 0));
  ASSERT_EQ(same.variants.size(), 1u) << "what is in both";
  EXPECT_EQ(same.variants[0].variant, "a");
  EXPECT_EQ(same.variants[0].prompts, 20);
  EXPECT_EQ(same.variants[0].windows, 8);
  EXPECT_DOUBLE_EQ(same.variants[0].speed_ratio->value, 1);
  EXPECT_DOUBLE_EQ(same.variants[0].nll_difference->value, 0);
  EXPECT_FALSE(same.variants[0].SpeedDiffers());
  EXPECT_FALSE(same.variants[0].NllDiffers());
  EXPECT_THAT(same.notes, IsEmpty());
}

TEST(CompareJobs, DoesNotCallNoiseADifference) {
  const JobComparison noisy = Compare(Job({"fp16"}, 1, 0), Job({"fp16"}, 1, 2));
  EXPECT_NEAR(noisy.variants[0].speed_ratio->value, 1, 0.01);
  EXPECT_FALSE(noisy.variants[0].SpeedDiffers());
  EXPECT_GT(noisy.variants[0].speed_ratio->interval.width(), 0);
}

// Prompts differ fivefold in time: unpaired, 3 % would drown among them.
TEST(CompareJobs, FindsASmallChangeOnTheSamePrompts) {
  const JobComparison slower = Compare(Job({"fp16"}, 1, 0), Job({"fp16"}, 1.03, 2));
  const Comparison& speed = *slower.variants[0].speed_ratio;
  EXPECT_NEAR(speed.value, 1 / 1.03, 0.01);
  EXPECT_TRUE(slower.variants[0].SpeedDiffers());
  EXPECT_GT(speed.unpaired.high, 1) << "what pairing gains";
}

TEST(CompareJobs, FindsAChangeOfTheLoss) {
  const JobComparison worse = Compare(Job({"a"}, 1, 0, 3), Job({"a"}, 1, 0, 3.05));
  EXPECT_NEAR(worse.variants[0].nll_difference->value, 0.05, 1e-9);
  EXPECT_TRUE(worse.variants[0].NllDiffers());
}

TEST(CompareJobs, TurnsRoundWithItsArguments) {
  const JobComparison there = Compare(Job({"a"}, 1, 0, 3), Job({"a"}, 1.5, 2, 3.1));
  const JobComparison back = Compare(Job({"a"}, 1.5, 2, 3.1), Job({"a"}, 1, 0, 3));
  EXPECT_NEAR(there.variants[0].speed_ratio->value * back.variants[0].speed_ratio->value, 1, 1e-9);
  EXPECT_NEAR(there.variants[0].nll_difference->value, -back.variants[0].nll_difference->value, 1e-12);
}

TEST(CompareJobs, IsOnWhatBothHaveAndSaysSo) {
  const JobComparison partly = Compare(Job({"a"}, 1, 0), Job({"a"}, 1, 0, 3, 15));
  EXPECT_EQ(partly.variants[0].prompts, 15);
  EXPECT_TRUE(AnyContains(partly.notes, "a: 60 of 70 timing records of both jobs are compared"));
}

TEST(CompareJobs, TellsNothingOfTooFewPrompts) {
  const JobComparison few = Compare(Job({"a"}, 1, 0, 3, 4), Job({"a"}, 2, 0, 3, 4));
  EXPECT_FALSE(few.variants[0].speed_ratio);
  EXPECT_FALSE(few.variants[0].SpeedDiffers());
  EXPECT_TRUE(few.variants[0].nll_difference);
}

TEST(CompareJobs, WithNothingInCommonIsRefused) {
  Recorder one = Job({"a"}, 1, 0), other = Job({"b"}, 1, 0);
  EXPECT_EQ(CompareJobs(one.measurements(), other.measurements()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace uaqf::ranking
