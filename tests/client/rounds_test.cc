// Jobs that may end early, as people ask for them and see them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/job_spec.h"
#include "client/show.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;

const Terminal kPlain;

JobFlags Flags() {
  JobFlags flags;
  flags.model = "smollm2-135m-instruct";
  flags.variants = {"fp16", "rtn-w4"};
  flags.prompts = "demo-prompts";
  return flags;
}

TEST(Rounds, AreAskedForByProbabilityProfileAndTime) {
  EXPECT_FALSE(BuildJobSpec(Flags(), "")->has_allocation());
  JobFlags flags = Flags();
  flags.until_decided = 0.9;
  flags.decide_by = "latency";
  flags.budget = "10m";
  const auto spec = BuildJobSpec(flags, "");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->allocation().until_decided(), 0.9);
  EXPECT_EQ(spec->allocation().profile(), "profiles/latency");
  EXPECT_EQ(spec->allocation().device_time().seconds(), 600);
  flags.decide_by = "profiles/latency";
  EXPECT_EQ(BuildJobSpec(flags, "")->allocation().profile(), "profiles/latency");
  flags.budget = "soon";
  EXPECT_THAT(BuildJobSpec(flags, "").status().message(), HasSubstr("got the duration \"soon\""));
}

TEST(Rounds, AreSaidOfAJobAndOfWhatTheyStopped) {
  v1::Job job = SampleJob("jobs/a", 1);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_error("decided: rtn-w4 is best by profiles/latency with probability 0.95");
  job.mutable_spec()->mutable_allocation()->set_until_decided(0.95);
  job.mutable_spec()->mutable_allocation()->set_profile("profiles/latency");
  v1::VariantProgress& variant = *job.mutable_progress()->add_variants();
  variant.set_variant("rtn-w8");
  variant.set_state(v1::VARIANT_STATE_STOPPED);
  variant.set_error("rtn-w4 is surely better");
  const std::string text = JobText(job, kPlain);
  EXPECT_THAT(text, HasSubstr(", until profiles/latency is decided with 0.95"));
  EXPECT_THAT(text, HasSubstr("rtn-w8: rtn-w4 is surely better"));
  EXPECT_THAT(text, testing::ContainsRegex("ended +decided: rtn-w4 is best"));
}

v1::DeviceTime TimeOf(double measured_s, double remaining_s, double skipped_s) {
  v1::DeviceTime time;
  time.set_measured_s(measured_s);
  time.set_remaining_s(remaining_s);
  time.set_skipped_s(skipped_s);
  time.set_uniform_s(measured_s + remaining_s + skipped_s);
  time.set_saved_share(skipped_s / time.uniform_s());
  return time;
}

TEST(Rounds, SayWhatTheyTookAndSpared) {
  v1::Job job = SampleJob("jobs/a", 1);
  EXPECT_THAT(JobText(job, kPlain), testing::Not(HasSubstr("took")));
  *job.mutable_device_time() = TimeOf(43, 0, 20);
  EXPECT_THAT(JobText(job, kPlain),
              testing::ContainsRegex("took +0:43 of the device, estimated 32 % less than the 1:03 of measuring all"));
  EXPECT_EQ(DeviceTimeText(TimeOf(43, 20, 0)), "0:43 of the device, some 0:20 to come");
  v1::RankVariantsResponse answer = SampleRanking();
  *answer.mutable_device_time() = TimeOf(43, 0, 20);
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("\ntook 0:43 of the device, estimated 32 % less"));
}

TEST(Rounds, LeaveAStoppedVariantWithItsReason) {
  v1::RankVariantsResponse answer = SampleRanking();
  v1::RankedVariant& last = *answer.add_variants();
  last.set_variant("rtn-w8");
  last.set_status(v1::RANK_STATUS_STOPPED);
  last.set_reason("fp16 is surely better");
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("stopped: fp16 is surely better"));
}

}  // namespace
}  // namespace uaqf::client
