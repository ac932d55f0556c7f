#include "server/core/progress.h"

#include <gtest/gtest.h>

namespace uaqf::core {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Progress, AveragesOverAcceptedRecords) {
  Tally tally;
  RecordRow row;
  row.latency_ns = 2 * kSecond;
  row.output_tokens = 10;
  Count(row, &tally);
  row.latency_ns = 4 * kSecond;
  Count(row, &tally);
  RecordRow window;
  window.body = RecordBody::kWindow;
  window.scored_tokens = 4;
  window.nll_sum = 10;
  Count(window, &tally);
  RecordRow failure;
  failure.body = RecordBody::kFailure;
  Count(failure, &tally);

  JobSpec spec;
  spec.variants = {"fp16", "rtn-w4"};
  const JobProgress progress = Summarize(spec, {{VariantState::kReady, "", tally}, {}});
  ASSERT_EQ(progress.variants.size(), 2u);
  EXPECT_DOUBLE_EQ(*progress.variants[0].latency_s, 3.0);
  EXPECT_DOUBLE_EQ(*progress.variants[0].tokens_per_s, (5.0 + 2.5) / 2);
  EXPECT_DOUBLE_EQ(*progress.variants[0].nll, 2.5);
  EXPECT_EQ(progress.records_done, 3);
  EXPECT_EQ(progress.records_quarantined, 1);
  EXPECT_FALSE(progress.variants[1].latency_s.has_value());
}

TEST(RateMeter, KnowsNothingBeforeTheFirstRecord) { EXPECT_EQ(RateMeter().PerSecond(5 * kSecond), 0); }

TEST(RateMeter, AveragesOverTheTimeSinceTheFirstRecord) {
  RateMeter meter;
  for (int second = 10; second < 20; ++second) meter.Add(second * kSecond, 7);
  EXPECT_DOUBLE_EQ(meter.PerSecond(19 * kSecond), 7);
}

TEST(RateMeter, ForgetsWhatIsOlderThanAMinute) {
  RateMeter meter;
  meter.Add(0, 6000);
  EXPECT_DOUBLE_EQ(meter.PerSecond(59 * kSecond), 100);
  EXPECT_DOUBLE_EQ(meter.PerSecond(60 * kSecond), 0);
  meter.Add(100 * kSecond, 60);
  EXPECT_DOUBLE_EQ(meter.PerSecond(100 * kSecond), 1);
}

}  // namespace
}  // namespace uaqf::core
