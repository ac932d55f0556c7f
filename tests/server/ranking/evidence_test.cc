// What devices did around the chunks of a job, summed up.
#include "server/ranking/evidence.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

namespace uaqf::ranking {
namespace {

using testing::ElementsAre;

// `runs` runs of `blocks` blocks of two variants that take turns; each generation takes longer from chunk to chunk, by
// `drift` over the whole.
std::vector<TimedAttempt> Chunks(double drift, int runs = 3, int blocks = 4) {
  std::vector<TimedAttempt> attempts;
  const int all = 2 * runs * blocks;
  for (int run = 0; run < runs; ++run) {
    for (int block = 0; block < blocks; ++block) {
      for (int turn = 0; turn < 2; ++turn) {
        TimedAttempt& attempt = attempts.emplace_back();
        attempt.variant = (run + block + turn) % 2;
        attempt.repeat = run;
        attempt.first = 8 * block;
        attempt.count = 8;
        const double place = static_cast<double>(attempts.size() - 1) / (all - 1);
        attempt.latency_s = (attempt.variant == 0 ? 8 : 4) * (1 + 0.5 * block) * std::exp(std::log1p(drift) * place);
        attempt.wall_s = attempt.latency_s + 1;
      }
    }
  }
  return attempts;
}

TEST(Evidence, FindsTheDriftOfARun) {
  const EvidenceSummary summary = SummarizeEvidence(Chunks(0.05), 2);
  ASSERT_TRUE(summary.drift);
  EXPECT_NEAR(summary.drift->value, 0.05, 1e-9) << "whatever the variants and prompts take";
  EXPECT_NEAR(*summary.drift->half_width, 0, 1e-6);
}

TEST(Evidence, IsNotSureOfADriftInNoise) {
  std::vector<TimedAttempt> attempts = Chunks(0);
  for (std::size_t k = 0; k < attempts.size(); ++k) attempts[k].latency_s *= 1 + 0.02 * ((k * 7) % 5 - 2.0);
  const EvidenceSummary summary = SummarizeEvidence(attempts, 2);
  EXPECT_LT(std::abs(summary.drift->value), *summary.drift->half_width);
}

TEST(Evidence, TellsNoDriftOfASingleRun) { EXPECT_FALSE(SummarizeEvidence(Chunks(0.05, 1), 2).drift); }

TEST(Evidence, TellsNoDriftAcrossDevices) {
  std::vector<TimedAttempt> attempts = Chunks(0);
  for (std::size_t k = attempts.size() / 2; k < attempts.size(); ++k) {
    attempts[k].device = "another";
    attempts[k].latency_s *= 2;
  }
  EXPECT_NEAR(SummarizeEvidence(attempts, 2).drift->value, 0, 1e-9);
}

TEST(Evidence, KnowsThatVariantsTookTurns) {
  const EvidenceSummary summary = SummarizeEvidence(Chunks(0), 2);
  EXPECT_TRUE(summary.interleaved);
  EXPECT_LT(summary.imbalance, 0.05);
  EXPECT_EQ(summary.variants[0].chunks, 12);
}

TEST(Evidence, KnowsThatVariantsRanOneAfterAnother) {
  std::vector<TimedAttempt> attempts = Chunks(0);
  std::stable_sort(attempts.begin(), attempts.end(),
                   [](const auto& a, const auto& b) { return a.variant < b.variant; });
  const EvidenceSummary summary = SummarizeEvidence(attempts, 2);
  EXPECT_FALSE(summary.interleaved);
  EXPECT_NEAR(summary.imbalance, 0.26, 0.01);
  EXPECT_LT(summary.variants[0].mean_place, summary.variants[1].mean_place);
}

// Situation: round by round, all variants take turns; all but the first two are stopped after a tenth of the rounds.
TEST(Evidence, DoesNotTakeAVariantThatWasStoppedForOneThatHadNoTurns) {
  std::vector<TimedAttempt> attempts;
  for (int round = 0; round < 40; ++round) {
    const int variants = round < 4 ? 8 : 2;
    for (int turn = 0; turn < variants; ++turn) {
      TimedAttempt& attempt = attempts.emplace_back();
      attempt.variant = (round + turn) % variants;
      attempt.first = 8 * round;
      attempt.count = 8;
    }
  }
  const EvidenceSummary summary = SummarizeEvidence(attempts, 8);
  EXPECT_TRUE(summary.interleaved);
  EXPECT_LT(summary.imbalance, 0.05);
  EXPECT_NEAR(summary.variants[7].mean_place, 0.5, 0.05);
}

// The same, but for one of them that ran its prompts before all others, and was stopped: that is still seen.
TEST(Evidence, SeesThatAStoppedVariantHadNoTurns) {
  std::vector<TimedAttempt> attempts = Chunks(0);
  std::vector<TimedAttempt> first;
  for (const TimedAttempt& attempt : attempts) {
    if (attempt.variant != 0 || attempt.repeat > 1) continue;
    first.push_back(attempt);
    first.back().variant = 2;
  }
  attempts.insert(attempts.begin(), first.begin(), first.end());
  const EvidenceSummary summary = SummarizeEvidence(attempts, 3);
  EXPECT_FALSE(summary.interleaved);
  EXPECT_LT(summary.variants[2].mean_place, 0.4);
}

// Situation: two groups one after the other, fp16 in both, and variants take turns within each.
TEST(Evidence, TakesPlacesWithinAGroup) {
  std::vector<TimedAttempt> attempts = Chunks(0), second = Chunks(0);
  for (TimedAttempt& attempt : second) {
    attempt.group = 1;
    attempt.variant = attempt.variant == 0 ? 0 : 2;
  }
  attempts.insert(attempts.end(), second.begin(), second.end());
  const EvidenceSummary summary = SummarizeEvidence(attempts, 3);
  EXPECT_TRUE(summary.interleaved);
  EXPECT_NEAR(summary.variants[2].mean_place, 0.5, 0.05);

  // In the second group one ran after the other.
  const auto by_variant = [](const auto& a, const auto& b) { return a.variant < b.variant; };
  const auto middle = attempts.begin() + static_cast<std::ptrdiff_t>(attempts.size() / 2);
  std::stable_sort(middle, attempts.end(), by_variant);
  EXPECT_FALSE(SummarizeEvidence(attempts, 3).interleaved);
}

TEST(Evidence, SumsUpWhatTheDeviceTells) {
  std::vector<TimedAttempt> attempts(3);
  attempts[0].clock_mhz = 1980;
  attempts[0].temperature_c = 60;
  attempts[0].wall_s = 3;
  attempts[0].power_capped_s = 1;
  attempts[0].slowdowns = {"power cap"};
  attempts[1].clock_mhz = 1900;
  attempts[1].temperature_c = 71;
  attempts[1].wall_s = 1;
  attempts[1].slowdowns = {"power cap", "hardware thermal slowdown"};
  attempts[1].thermal_s = 0.5;
  attempts[1].foreign_load = 0.02;
  attempts[1].involuntary_switches = 7;
  attempts[2].variant = 1;
  const EvidenceSummary summary = SummarizeEvidence(attempts, 2);
  const VariantEvidence& first = summary.variants[0];
  EXPECT_DOUBLE_EQ(first.clock->mean, 1940);
  EXPECT_DOUBLE_EQ(first.clock->low, 1900);
  EXPECT_DOUBLE_EQ(first.clock->high, 1980);
  EXPECT_DOUBLE_EQ(first.power_capped, 0.25);
  EXPECT_DOUBLE_EQ(first.thermal, 0.125);
  EXPECT_EQ(*first.highest_temperature_c, 71);
  EXPECT_THAT(first.slowdowns, ElementsAre("hardware thermal slowdown", "power cap"));
  EXPECT_DOUBLE_EQ(first.highest_foreign_load, 0.02);
  EXPECT_EQ(first.involuntary_switches, 7);
  EXPECT_FALSE(summary.variants[1].clock) << "not told is not 0";
  EXPECT_FALSE(summary.variants[1].highest_temperature_c);
}

TEST(Evidence, OfNothingIsNothing) {
  const EvidenceSummary summary = SummarizeEvidence({}, 2);
  EXPECT_FALSE(summary.drift);
  EXPECT_EQ(summary.imbalance, 0);
  EXPECT_EQ(summary.variants[1].chunks, 0);
}

}  // namespace
}  // namespace uaqf::ranking
