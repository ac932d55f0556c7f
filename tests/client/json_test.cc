// What programs read of a message.
#include "client/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What programs read: the proto's names, zeros written out, what is absent left out.
TEST(Json, WritesProtoNamesZerosAndNoAbsentFields) {
  const std::string json = ToJson(SampleRanking());
  EXPECT_THAT(json, HasSubstr("\"other_normalization_winner\": \"\""));
  EXPECT_THAT(json, HasSubstr("\"utility\": 0.24"));
  EXPECT_THAT(json, HasSubstr("\"utility\": 0\n"));
  EXPECT_THAT(json, HasSubstr("\"records_used\": \"384\""));
  v1::VariantMeasures unmeasured;
  EXPECT_THAT(ToJson(unmeasured), Not(HasSubstr("latency_s")));
  EXPECT_THAT(ToJson(unmeasured), Not(HasSubstr("speedup"))) << "an absent optional is not 0";
  EXPECT_THAT(ToJson(unmeasured), HasSubstr("\"repeats\": 0"));
  v1::Record empty;
  EXPECT_THAT(ToJson(empty), Not(HasSubstr("failure"))) << "a oneof that is not set is not an empty string";
}

TEST(Json, IsOneLineInAStream) {
  const std::string line = ToJson(SampleJob("jobs/a", 3), /*compact=*/true);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

}  // namespace
}  // namespace uaqf::client
