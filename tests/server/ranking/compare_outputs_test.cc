#include "server/ranking/compare_outputs.h"

#include <gmock/gmock.h>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::HasSubstr;

JobIdentity IdentityOf(const std::string& name) {
  JobIdentity job;
  job.job = name;
  job.configurations = {{"fp16", {"a"}}, {"rtn-w4", {"b"}}};
  return job;
}

TEST(CompareOutputs, PairsThemByVariantAndPrompt) {
  Recorder one({"fp16", "rtn-w4"}), other({"rtn-w4", "fp16", "rtn-w8"});
  one.Output(0, 0, {1, 2, 3, 4}, {}).Output(0, 1, {5, 6}, {}).Output(1, 0, {1}, {});
  other.Output(1, 0, {1, 2, 9, 9}, {}).Output(1, 1, {5, 6}, {}).Output(1, 2, {7}, {}).Output(0, 0, {1}, {});
  const auto comparison =
      CompareOutputs(one.measurements(), IdentityOf("jobs/a"), other.measurements(), IdentityOf("jobs/b"));
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  ASSERT_EQ(comparison->variants.size(), 2u);
  EXPECT_EQ(comparison->variants[0].variant, "fp16");
  EXPECT_EQ(comparison->variants[0].outputs.prompts, 2) << "the third is in one job only";
  EXPECT_NEAR(comparison->variants[0].outputs.tokens.value, 0.75, 1e-12);
  EXPECT_EQ(comparison->variants[0].outputs.equal, 0.5);
  EXPECT_EQ(comparison->variants[1].outputs.equal, 1);
}

TEST(CompareOutputs, LeavesOutAVariantOfAnotherConfiguration) {
  Recorder one({"fp16", "rtn-w4"});
  one.Output(0, 0, {1}, {}).Output(1, 0, {1}, {});
  JobIdentity other = IdentityOf("jobs/b");
  other.configurations["rtn-w4"] = {"c"};
  const auto comparison = CompareOutputs(one.measurements(), IdentityOf("jobs/a"), one.measurements(), other);
  ASSERT_TRUE(comparison.ok());
  ASSERT_EQ(comparison->variants.size(), 1u);
  EXPECT_EQ(comparison->variants[0].variant, "fp16");
  EXPECT_TRUE(AnyContains(comparison->notes, "rtn-w4 is left out"));
  other.configurations.erase("fp16");
  const absl::Status nothing =
      CompareOutputs(one.measurements(), IdentityOf("jobs/a"), one.measurements(), other).status();
  EXPECT_EQ(nothing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(nothing.message()), HasSubstr("rtn-w4 is left out"));
}

}  // namespace
}  // namespace uaqf::ranking
