#include <gmock/gmock.h>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

CommonRecords Kept(Recorder& recorder) {
  auto common = KeepCommonRecords(recorder.measurements());
  EXPECT_TRUE(common.ok()) << common.status();
  return common.ok() ? *common : CommonRecords{};
}

TEST(CommonRecords, AreAllOfAJobThatIsDone) {
  Recorder recorder({"fp16", "rtn-w4"});
  for (int variant : {0, 1}) recorder.Timing(variant, 0, 0, 1, 10).Timing(variant, 1, 0, 1, 10).Window(variant, 0, 2);
  const CommonRecords common = Kept(recorder);
  EXPECT_THAT(common.notes, IsEmpty());
  EXPECT_EQ(common.measurements.timings.variant.size(), 4u);
  EXPECT_EQ(common.measurements.windows.variant.size(), 2u);
}

// The long prompt is measured on fp16 only: with it, rtn-w4 would seem ten times as fast.
TEST(CommonRecords, KeepAVariantFromWinningByThePromptsItLacks) {
  Recorder recorder({"fp16", "rtn-w4"});
  recorder.Timing(0, 0, 0, 1, 10).Timing(0, 1, 0, 100, 10).Timing(1, 0, 0, 1, 10);
  const CommonRecords common = Kept(recorder);
  EXPECT_THAT(common.measurements.timings.item, ElementsAre(0, 0));
  EXPECT_THAT(common.measurements.timings.latency_ns, ElementsAre(1'000'000'000, 1'000'000'000));
  EXPECT_THAT(common.notes, ElementsAre(HasSubstr("compared on 1 of fp16's 2 timing records")));
  EXPECT_EQ(Measure(common.measurements)->at(1).speedup, 1.0);
}

TEST(CommonRecords, LeaveOutAVariantThatHasBarelyBegunInsteadOfShrinkingTheOthers) {
  Recorder recorder({"fp16", "rtn-w4", "rtn-w8"});
  for (int item : {0, 1, 2}) recorder.Timing(0, item, 0, 1, 10).Timing(1, item, 0, 1, 10);
  recorder.Timing(2, 0, 0, 1, 10);
  const CommonRecords common = Kept(recorder);
  EXPECT_THAT(common.measurements.timings.variant, ElementsAre(0, 1, 0, 1, 0, 1));
  EXPECT_THAT(common.notes, ElementsAre(HasSubstr("rtn-w8 has 1 of fp16's 3 timing records")));
}

TEST(CommonRecords, LeaveAJobWithoutBaselineAlone) {
  Recorder recorder({"rtn-w4", "rtn-w8"});
  recorder.Timing(0, 0, 0, 1, 10).Timing(1, 1, 0, 1, 10);
  EXPECT_EQ(Kept(recorder).measurements.timings.variant.size(), 2u);
}

TEST(CommonRecords, DoNotHideARecordThatIsThereTwice) {
  Recorder recorder({"fp16", "rtn-w4"});
  recorder.Timing(0, 0, 0, 1, 10).Timing(1, 0, 0, 1, 10).Timing(1, 0, 0, 1, 10);
  EXPECT_EQ(Measure(Kept(recorder).measurements).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CommonRecords, RefuseWhatMeasureRefuses) {
  Recorder recorder({"fp16"});
  recorder.Timing(5, 0, 0, 1, 10);
  EXPECT_EQ(KeepCommonRecords(recorder.measurements()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace uaqf::ranking
