// What drifts between two groups of variants is taken out by the fp16 that each has.
#include "server/ranking/groups.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "server/ranking/comparison.h"
#include "server/ranking/paired_units.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Adds a timing record of a group.
void Add(Recorder& recorder, int group, int variant, int item, double latency_s) {
  recorder.Timing(variant, item, 0, latency_s, 10);
  recorder.measurements().timings.group.push_back(group);
}

// Situation: the device was a quarter slower in the second group; both variants take half of their fp16's time.
Recorder TwoGroups() {
  Recorder recorder({"fp16", "rtn-w8", "rtn-w4"});
  for (const int item : {0, 1}) {
    Add(recorder, 0, 0, item, 1.0);
    Add(recorder, 0, 1, item, 0.5);
    Add(recorder, 1, 0, item, 1.25);
    Add(recorder, 1, 2, item, 0.625);
  }
  return recorder;
}

TEST(Groups, AreComparedByTheRatioToTheirOwnBaseline) {
  Recorder recorder = TwoGroups();
  const AlignedRecords aligned = AlignGroups(recorder.measurements());
  const auto measures = Measure(aligned.measurements);
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_DOUBLE_EQ(measures->at(1).speedup.value(), 2);
  EXPECT_DOUBLE_EQ(measures->at(2).speedup.value(), 2);
  EXPECT_DOUBLE_EQ(measures->at(0).latency_s->value, 1);
  EXPECT_EQ(measures->at(0).timing_records, 2);
  EXPECT_THAT(aligned.notes, ElementsAre(HasSubstr("rtn-w4 ran in group 2, where fp16 took +25.00 % more")));
}

TEST(Groups, ScaleWithPromptsThatBothBaselinesHave) {
  Recorder recorder = TwoGroups();
  Add(recorder, 1, 0, 2, 100);  // only in the second group
  const auto measures = Measure(AlignGroups(recorder.measurements()).measurements);
  EXPECT_DOUBLE_EQ(measures->at(2).speedup.value(), 2);
}

// Situation: between the groups the device slowed down for one prompt and not for the other.
TEST(Groups, AreScaledPromptByPrompt) {
  Recorder recorder({"fp16", "a", "b"});
  for (const int item : {0, 1}) {
    Add(recorder, 0, 0, item, 1);
    Add(recorder, 0, 1, item, 0.5);
    Add(recorder, 1, 0, item, 1 + item);
    Add(recorder, 1, 2, item, 0.5 * (1 + item));
  }
  const Measurements aligned = AlignGroups(recorder.measurements()).measurements;
  EXPECT_THAT(aligned.timings.latency_ns,
              ElementsAre(1'000'000'000, 500'000'000, 500'000'000, 1'000'000'000, 500'000'000, 500'000'000));
}

TEST(Groups, LeaveOutPromptsThatOneBaselineLacks) {
  Recorder recorder = TwoGroups();
  Add(recorder, 0, 0, 2, 1);
  Add(recorder, 1, 2, 2, 0.625);  // fp16 of the second group has no prompt 2
  const AlignedRecords aligned = AlignGroups(recorder.measurements());
  EXPECT_THAT(aligned.notes, ElementsAre(HasSubstr("+25.00 % more"), HasSubstr("are left out, 1 of them")));
  EXPECT_EQ(Measure(aligned.measurements)->at(2).timing_records, 2);
  EXPECT_THAT(aligned.measurements.variants[2].timing_problem, IsEmpty());
}

TEST(Groups, WithABaselineOfOtherPromptsAreNotCompared) {
  Recorder recorder({"fp16", "rtn-w8"});
  for (const int group : {0, 1}) Add(recorder, group, 0, 0, 1);
  Add(recorder, 1, 1, 1, 0.5);
  const AlignedRecords aligned = AlignGroups(recorder.measurements());
  EXPECT_THAT(aligned.measurements.variants[1].timing_problem, HasSubstr("group 2"));
  EXPECT_THAT(aligned.notes, IsEmpty());
}

TEST(Groups, WithoutABaselineYetAreNotCompared) {
  Recorder recorder({"fp16", "rtn-w8"});
  Add(recorder, 0, 0, 0, 1);
  Add(recorder, 1, 1, 0, 0.5);
  const AlignedRecords aligned = AlignGroups(recorder.measurements());
  EXPECT_THAT(aligned.measurements.timings.variant, ElementsAre(0));
  EXPECT_THAT(aligned.measurements.variants[1].timing_problem, HasSubstr("group 2"));
}

TEST(Groups, OfWhichThereIsOneChangeNothing) {
  Recorder recorder({"fp16", "rtn-w8"});
  recorder.Timing(0, 0, 0, 1, 10).Timing(1, 0, 0, 0.5, 10);
  const AlignedRecords aligned = AlignGroups(SetAsideWhatCannotBe(recorder.measurements()));
  EXPECT_THAT(aligned.notes, IsEmpty());
  EXPECT_THAT(aligned.measurements.timings.latency_ns, ElementsAre(1'000'000'000, 500'000'000));
}

TEST(Groups, KeepPartsWithinTheWholeWhenRounded) {
  Recorder recorder({"fp16", "rtn-w8"});
  Add(recorder, 0, 0, 0, 1);
  Add(recorder, 1, 0, 0, 3);
  Add(recorder, 1, 1, 0, 5e-9);
  EXPECT_TRUE(Measure(AlignGroups(recorder.measurements()).measurements).ok());
}

// Situation: fp16, a and b are as fast as each other. a ran in turns with fp16, b in `group`; 40 prompts, 3 runs that
// vary by 1.5 %.
Recorder EqualVariants(int group, std::mt19937_64* engine) {
  Recorder recorder({"fp16", "a", "b"});
  std::normal_distribution<double> prompt(0, 0.2), run(0, 0.015);
  for (int item = 0; item < 40; ++item) {
    const double seconds = std::exp(prompt(*engine));
    const auto time = [&](int in, int variant, int repeat) {
      recorder.Timing(variant, item, repeat, seconds * (1 + run(*engine)), 100);
      recorder.measurements().timings.group.push_back(in);
    };
    for (int repeat = 0; repeat < 3; ++repeat) {
      for (const int variant : {0, 1}) time(0, variant, repeat);
      if (group > 0) time(group, 0, repeat);
      time(group, 2, repeat);
    }
  }
  return recorder;
}

// Of `jobs`, those whose 95 % interval of b's speed by a's holds 1.
int Covered(int group, int jobs) {
  std::mt19937_64 engine(2024);
  int covered = 0;
  for (int job = 0; job < jobs; ++job) {
    const Measurements aligned = AlignGroups(EqualVariants(group, &engine).measurements()).measurements;
    const auto common = KeepCommonRecords(aligned);
    EXPECT_TRUE(common.ok()) << common.status();
    const Resampled resampled = Resample(PairUnits(common->measurements), {.resamples = 500});
    const Interval interval = CompareSpeed(resampled, 2, 1).interval;
    covered += interval.low <= 1 && 1 <= interval.high;
  }
  return covered;
}

TEST(Groups, AreAsSureOfADifferenceAcrossThemAsWithinOne) {
  constexpr int kJobs = 400;
  EXPECT_NEAR(Covered(/*group=*/0, kJobs), 0.95 * kJobs, 0.03 * kJobs);
  EXPECT_NEAR(Covered(/*group=*/1, kJobs), 0.95 * kJobs, 0.03 * kJobs);
}

}  // namespace
}  // namespace uaqf::ranking
