// What drifts between two groups of variants is taken out by the fp16 that each has.
#include "server/ranking/groups.h"

#include <gmock/gmock.h>

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

}  // namespace
}  // namespace uaqf::ranking
