// Two measurements of the same variants, as people read them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/show.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::CompareJobsResponse Answer() {
  v1::CompareJobsResponse answer;
  answer.set_job("jobs/a");
  answer.set_other_job("jobs/b");
  const auto add = [&answer](const char* name, double ratio, bool differs) {
    v1::ComparedVariant& variant = *answer.add_variants();
    variant.set_variant(name);
    variant.set_prompts(40);
    v1::Comparison& speed = *variant.mutable_speed_ratio();
    speed.set_value(ratio);
    speed.mutable_interval()->set_low(ratio - .01);
    speed.mutable_interval()->set_high(ratio + .01);
    speed.set_smallest_detectable(.014);
    variant.set_speed_differs(differs);
  };
  add("fp16", .998, false);
  add("rtn-w4", .95, true);
  add("rtn-w8", 1.05, true);
  return answer;
}

TEST(ShowCompare, SaysWhatWasFound) {
  EXPECT_EQ(CompareText(Answer(), Terminal()),
            "jobs/b against jobs/a, on the same prompts, runs and windows\n"
            "variant  prompts    speed  95 %              finding\n"
            "fp16          40  0.9980x  [0.9880, 1.0080]  no difference found\n"
            "rtn-w4        40  0.9500x  [0.9400, 0.9600]  slower\n"
            "rtn-w8        40  1.0500x  [1.0400, 1.0600]  faster\n");
}

TEST(ShowCompare, CallsNoiseNoise) {
  v1::CompareJobsResponse answer = Answer();
  answer.set_speed_floor(.06);
  answer.mutable_variants(0)->mutable_speed_ratio()->set_within_noise(true);
  answer.mutable_variants(1)->mutable_speed_ratio()->set_within_noise(true);
  answer.mutable_variants(1)->set_speed_differs(false);
  const std::string text = CompareText(answer, Terminal());
  EXPECT_THAT(text, HasSubstr("[0.9880, 1.0080]  no difference found\n"));
  EXPECT_THAT(text, HasSubstr("[0.9400, 0.9600]  within the noise\n"));
  EXPECT_THAT(text, HasSubstr("fp16 against itself within a job: up to 6.00 % of speed is noise\n"));
}

TEST(ShowCompare, SaysWhatIsLost) {
  v1::CompareJobsResponse answer = Answer();
  v1::ComparedVariant& variant = *answer.mutable_variants(1);
  variant.set_windows(8);
  variant.mutable_nll_difference()->set_value(.01);
  variant.mutable_nll_difference()->mutable_interval()->set_low(.009);
  variant.mutable_nll_difference()->mutable_interval()->set_high(.011);
  variant.set_nll_differs(true);
  answer.add_notes("jobs/b has not ended");
  const std::string text = CompareText(answer, Terminal());
  EXPECT_THAT(text, HasSubstr("+0.01000  [0.00900, 0.01100]  slower, loses more\n"));
  EXPECT_THAT(text, HasSubstr("note: jobs/b has not ended\n"));
}

TEST(ShowCompare, ClaimsNothingOfTooFew) {
  v1::CompareJobsResponse answer = Answer();
  answer.mutable_variants(0)->clear_speed_ratio();
  EXPECT_THAT(CompareText(answer, Terminal()), HasSubstr("too few in both"));
  EXPECT_THAT(CompareText(answer, Terminal()), Not(HasSubstr("no difference found")));
}

TEST(ShowCompare, KeepsItsCsvColumns) {
  EXPECT_THAT(
      CompareCsv(Answer()),
      HasSubstr("variant,prompts,windows,speed_ratio,speed_ratio_low,speed_ratio_high,speed_smallest_detectable,"
                "speed_differs,nll_difference,nll_difference_low,nll_difference_high,nll_smallest_detectable,"
                "nll_differs,speed_within_noise\nfp16,40,0,0.998,"));
}

}  // namespace
}  // namespace uaqf::client
