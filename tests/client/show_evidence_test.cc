// What makes figures believable, as people read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/show.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;

v1::EvidenceSummary Summary() {
  v1::EvidenceSummary summary;
  v1::VariantEvidence& fp16 = *summary.add_variants();
  fp16.set_variant("fp16");
  fp16.set_chunks(15);
  fp16.set_rejected(2);
  fp16.set_clock_mhz(1975.4);
  fp16.set_clock_low_mhz(1950);
  fp16.set_clock_high_mhz(1980);
  fp16.set_power_capped(.25);
  fp16.set_temperature_c(61);
  fp16.set_mean_place(.51);
  fp16.add_slowdowns("power cap");
  v1::VariantEvidence& other = *summary.add_variants();
  other.set_variant("rtn-w4");
  other.set_chunks(15);
  other.set_mean_place(.49);
  summary.mutable_drift()->set_value(.004);
  summary.mutable_drift()->set_half_width(.003);
  summary.set_imbalance(.01);
  summary.set_interleaved(true);
  return summary;
}

TEST(ShowEvidence, IsARowForEachVariantAndOneLine) {
  EXPECT_EQ(EvidenceText(Summary(), Terminal()),
            "variant  chunks  rejected  clock MHz          power cap  °C  place  slowed down by\n"
            "fp16         15         2  1975 [1950, 1980]     25.0 %  61   0.51  power cap\n"
            "rtn-w4       15         -  -                          -   -   0.49  -\n"
            "evidence: 2 chunks rejected, drift +0.40 % ±0.30 over the run, variants took turns\n");
}

TEST(ShowEvidence, SaysThatVariantsDidNotTakeTurns) {
  v1::EvidenceSummary summary = Summary();
  summary.set_interleaved(false);
  summary.clear_drift();
  EXPECT_EQ(EvidenceLine(summary), "evidence: 2 chunks rejected, variants did not take turns\n");
}

TEST(ShowEvidence, SaysNothingWhereNothingWasTimed) {
  EXPECT_EQ(EvidenceText({}, Terminal()), "");
  EXPECT_EQ(EvidenceLine({}), "");
}

TEST(ShowEvidence, IsBelowARanking) {
  v1::RankVariantsResponse answer = SampleRanking();
  *answer.mutable_evidence() = Summary();
  EXPECT_THAT(RankText(answer, Terminal()), HasSubstr("\nevidence: 2 chunks rejected, drift"));
}

}  // namespace
}  // namespace uaqf::client
