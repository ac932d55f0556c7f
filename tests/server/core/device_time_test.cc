// What a job spared its devices against measuring all variants to the end.
#include "server/core/device_time.h"

#include <gtest/gtest.h>

namespace uaqf::core {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

ChunkTimes Of(std::int32_t variant, ChunkKind kind, std::int64_t items, std::int64_t seconds, std::int64_t open,
              std::int64_t skipped) {
  return {variant, kind, items, seconds * kSecond, open, skipped};
}

TEST(DeviceTime, SavesNothingWhereAllIsMeasured) {
  const auto time =
      EstimateDeviceTime({Of(0, ChunkKind::kTiming, 40, 80, 0, 0), Of(1, ChunkKind::kTiming, 40, 40, 0, 0)});
  ASSERT_TRUE(time.has_value());
  EXPECT_DOUBLE_EQ(time->measured_s, 120);
  EXPECT_DOUBLE_EQ(time->UniformS(), 120);
  EXPECT_DOUBLE_EQ(time->SavedShare(), 0);
}

// Situation: variant 1 was stopped after a quarter of its items, each of which took it 1 s, and 3 s of scoring.
TEST(DeviceTime, CountsWhatWasLeftOutByTheTimesOfItsOwnVariantAndKind) {
  const auto time =
      EstimateDeviceTime({Of(0, ChunkKind::kTiming, 40, 80, 0, 0), Of(1, ChunkKind::kTiming, 10, 10, 0, 30),
                          Of(0, ChunkKind::kPerplexity, 4, 16, 0, 0), Of(1, ChunkKind::kPerplexity, 1, 3, 0, 3)});
  ASSERT_TRUE(time.has_value());
  EXPECT_DOUBLE_EQ(time->measured_s, 109);
  EXPECT_DOUBLE_EQ(time->skipped_s, 39);
  EXPECT_DOUBLE_EQ(time->UniformS(), 148);
  EXPECT_DOUBLE_EQ(time->SavedShare(), 39.0 / 148);
}

TEST(DeviceTime, DoesNotTakeWhatIsStillToComeForSaved) {
  const auto time = EstimateDeviceTime({Of(0, ChunkKind::kTiming, 10, 20, 30, 0)});
  ASSERT_TRUE(time.has_value());
  EXPECT_DOUBLE_EQ(time->remaining_s, 60);
  EXPECT_DOUBLE_EQ(time->SavedShare(), 0);
}

// Situation: variant 2 had not begun when the job was decided.
TEST(DeviceTime, TakesTheMeanOfTheOthersForAVariantThatNeverRan) {
  const auto time =
      EstimateDeviceTime({Of(0, ChunkKind::kTiming, 10, 20, 0, 0), Of(1, ChunkKind::kTiming, 100, 100, 0, 0),
                          Of(2, ChunkKind::kTiming, 0, 0, 0, 10)});
  ASSERT_TRUE(time.has_value());
  EXPECT_DOUBLE_EQ(time->skipped_s, 15);
}

TEST(DeviceTime, IsAbsentWhereItCannotBeTold) {
  EXPECT_FALSE(EstimateDeviceTime({}).has_value());
  EXPECT_FALSE(EstimateDeviceTime({Of(0, ChunkKind::kTiming, 0, 0, 10, 0)}).has_value());
  EXPECT_FALSE(EstimateDeviceTime({Of(0, ChunkKind::kGeneration, 10, 10, 0, 0), Of(0, ChunkKind::kTiming, 0, 0, 0, 10)})
                   .has_value());
}

}  // namespace
}  // namespace uaqf::core
