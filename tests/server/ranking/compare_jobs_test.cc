// The same variants measured twice.
#include "server/ranking/compare_jobs.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
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

JobComparison Compare(Recorder one, Recorder other, const std::vector<JobTwin>& twins = {}) {
  const auto comparison = CompareJobs(one.measurements(), other.measurements(), twins);
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

// fp16 and its twin, which takes `share` longer in every chunk.
JobTwin Twin(const std::string& job, double share) {
  Recorder pair({"fp16", "fp16#2"});
  for (int prompt = 0; prompt < 20; ++prompt) {
    pair.Timing(0, prompt, 0, 1, 50).Timing(1, prompt, 0, 1 + share, 50);
  }
  return {job, TwinRecords{.pair = pair.measurements(), .separate_processes = true, .block_prompts = 5}};
}

// Situation: the device was 0.6 % slower throughout the second job, in which fp16 differs from itself by 1 %.
TEST(CompareJobs, DoesNotCallAShiftOfAWholeJobADifferenceWithinTheNoiseFloor) {
  const Recorder one = Job({"a"}, 1, 0), slower = Job({"a"}, 1.006, 0), slow = Job({"a"}, 1.02, 0);
  const JobComparison blind = Compare(one, slower);
  EXPECT_LT(blind.variants[0].speed_ratio->interval.high, 1) << "an interval over prompts does not hold it";
  EXPECT_TRUE(blind.variants[0].SpeedDiffers());
  EXPECT_FALSE(blind.speed_floor);

  for (const auto& [first, second] : {std::pair(0.01, 0.001), std::pair(0.001, 0.01)}) {
    const std::vector<JobTwin> twins = {Twin("jobs/a", first), Twin("jobs/b", second)};
    const JobComparison within = Compare(one, slower, twins);
    EXPECT_NEAR(*within.speed_floor, std::log(1.01), 1e-6) << "the larger of the two";
    EXPECT_TRUE(within.variants[0].speed_ratio->within_noise);
    EXPECT_FALSE(within.variants[0].SpeedDiffers());
    EXPECT_THAT(within.notes, IsEmpty());
    const JobComparison beyond = Compare(one, slow, twins);
    EXPECT_FALSE(beyond.variants[0].speed_ratio->within_noise);
    EXPECT_TRUE(beyond.variants[0].SpeedDiffers());
  }
}

TEST(CompareJobs, SaysThatFp16ChangedToo) {
  const JobComparison slower = Compare(Job({"fp16", "a"}, 1, 0), Job({"fp16", "a"}, 1.03, 0));
  EXPECT_THAT(slower.notes, ElementsAre(HasSubstr("fp16 itself changed by -2.91 % tokens/s")));
  EXPECT_THAT(Compare(Job({"fp16", "a"}, 1, 0), Job({"fp16", "a"}, 1, 2)).notes, IsEmpty());
}

TEST(CompareJobs, SaysWhichJobHasNoNoiseFloor) {
  const Recorder job = Job({"a"}, 1, 0);
  const JobComparison half = Compare(job, job, {Twin("jobs/a", 0.01), {"jobs/b"}});
  EXPECT_TRUE(half.speed_floor);
  EXPECT_THAT(half.notes, ElementsAre(HasSubstr("the noise floor of jobs/b is not known, so that of the other job is "
                                                "taken: it timed fp16 once")));
  JobTwin empty = Twin("jobs/a", 0.01);
  empty.twin->pair.timings = {};
  const JobComparison none = Compare(job, job, {empty, {"jobs/b"}});
  EXPECT_FALSE(none.speed_floor);
  EXPECT_THAT(none.notes, ElementsAre(HasSubstr("may pass for a difference: fp16#2 and fp16 were both timed on 0"),
                                      HasSubstr("jobs/b is not known, so what noise makes between the jobs may pass")));
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
  EXPECT_EQ(CompareJobs(one.measurements(), other.measurements(), {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace uaqf::ranking
