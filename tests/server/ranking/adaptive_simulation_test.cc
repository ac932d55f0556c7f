// Thousands of synthetic jobs that stop measuring what is decided: what is said of them holds as well, and the time
// goes to what is not decided yet.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "server/ranking/decision_data.h"
#include "server/ranking/elimination.h"
#include "server/ranking/rank.h"
#include "server/ranking/stopped.h"
#include "server/ranking/tables.h"
#include "tests/server/ranking/fixtures.h"
#include "tests/server/ranking/scorecard.h"
#include "tests/server/ranking/simulated_jobs.h"

namespace uaqf::ranking {
namespace {

constexpr int kJobs = 4000, kRounds = kSimulatedPrompts / kSimulatedBlock;
constexpr double kError = 0.05;

using Rounds = std::array<int, kSimulatedVariants>;

// The first rounds of each variant: a block of prompts, and as many windows as are due.
Measurements FirstRounds(Measurements m, const Rounds& rounds) {
  TimingColumns& t = m.timings;
  std::vector<bool> keep;
  for (std::size_t k = 0; k < t.variant.size(); ++k) keep.push_back(t.item[k] < rounds[t.variant[k]] * kSimulatedBlock);
  KeepRows(keep, &t);
  WindowColumns& w = m.windows;
  keep.clear();
  for (std::size_t k = 0; k < w.variant.size(); ++k) {
    keep.push_back(w.window[k] * kRounds < rounds[w.variant[k]] * kSimulatedWindows);
  }
  KeepRows(keep, &w);
  return m;
}

double SecondsOf(const Measurements& m) {
  double seconds = 0;
  for (const std::int64_t ns : m.timings.latency_ns) seconds += static_cast<double>(ns) * 1e-9;
  return seconds;
}

// A job as the coordinator runs it: after each round, what is decided is stopped, until one is left.
Measurements RunAdaptively(const Measurements& all, const Profile& profile) {
  std::vector<bool> active(kSimulatedVariants, true);
  std::vector<std::string> stopped(kSimulatedVariants);
  Rounds rounds = {};
  Measurements so_far;
  for (int round = 1; round <= kRounds; ++round) {
    for (int v = 0; v < kSimulatedVariants; ++v) rounds[v] += active[v] ? 1 : 0;
    so_far = FirstRounds(all, rounds);
    const std::vector<Eliminated> verdicts = Eliminate(so_far, active, profile, kError);
    int left = 0;
    for (int v = 0; v < kSimulatedVariants; ++v) left += active[v] && verdicts[v].kind == Elimination::kNone ? 1 : 0;
    if (left <= 1) break;
    for (int v = 1; v < kSimulatedVariants && round < kRounds; ++v) {
      if (!active[v] || verdicts[v].kind == Elimination::kNone) continue;
      active[v] = false;
      stopped[v] = verdicts[v].reason;
    }
  }
  for (int v = 0; v < kSimulatedVariants; ++v) so_far.variants[v].stopped = stopped[v];
  return so_far;
}

Ranking RankJob(const Measurements& m, const Profile& profile) {
  const auto stopped = JudgeStopped(m);
  EXPECT_TRUE(stopped.ok()) << stopped.status();
  const Measurements common = WithoutStopped(m);
  const auto measures = Measure(common);
  const DecisionData data = PrepareDecision(common);
  RankOptions options;
  options.data = &data;
  options.stopped = &*stopped;
  const auto ranking = Rank(*measures, profile, JobFacts{.decided_by = profile.name}, options);
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return *ranking;
}

Profile BalancedWithoutLimits() {
  Profile profile = BuiltIn("balanced");
  profile.max_delta_nll.reset();  // all variants stay feasible, whatever the draw
  return profile;
}

class AdaptiveSimulation : public testing::TestWithParam<NoiseShape> {
 protected:
  // Runs many jobs; returns the share of the time that a uniform allocation takes.
  double Run(Field field, int jobs, Scorecard* card, double* most) {
    const Profile profile = BalancedWithoutLimits();
    const auto seed = 20260201 + static_cast<std::uint64_t>(GetParam());
    JobSimulation simulation(GetParam(), profile, seed, VisitOrder::kBlockByBlock, field);
    double taken = 0, uniform = 0;
    for (int i = 0; i < jobs; ++i) {
      const SimulatedJob job = simulation.Next();
      const Measurements measured = RunAdaptively(job.measurements, profile);
      const double seconds = SecondsOf(measured), all = SecondsOf(job.measurements);
      taken += seconds;
      uniform += all;
      *most = std::max(*most, seconds / all);
      const Ranking ranking = RankJob(measured, profile);
      for (const RankedVariant& variant : ranking.variants) {
        const std::size_t v = SimulatedVariant(variant.variant);
        if (!variant.standing) {
          ADD_FAILURE() << variant.variant << " has no standing: " << variant.reason;
          continue;
        }
        if (v > 0) card->AddInterval(variant.standing->utility, job.utility[v]);
        if (variant.variant == ranking.winner) card->AddWinner(variant.standing->probability_best, v == job.best());
      }
    }
    std::printf("coverage %.4f, calibration error %.4f, declared winners wrong %.4f, hard jobs %.3f, of uniform %.3f\n",
                card->coverage(), card->calibration_error(), card->wrong(), card->hard(), taken / uniform);
    return taken / uniform;
  }
};

TEST_P(AdaptiveSimulation, SaysHowSureItIsAndIsRightInNoMoreTime) {
  Scorecard card;
  double most = 0;
  const double share = Run(Field::kClose, kJobs, &card, &most);
  EXPECT_GE(card.coverage(), 0.93);
  EXPECT_LE(card.coverage(), 0.97);
  EXPECT_LE(card.calibration_error(), 0.03);
  EXPECT_LE(card.wrong(), 0.05);
  EXPECT_GE(card.hard(), 0.30);
  EXPECT_LT(share, 0.9);
  EXPECT_LE(most, 1.05);
}

TEST_P(AdaptiveSimulation, SavesTwoFifthsOfTheTimeWhereOneVariantLeads) {
  Scorecard card;
  double most = 0;
  EXPECT_LE(Run(Field::kClear, kJobs / 4, &card, &most), 0.6);
  EXPECT_LE(card.wrong(), 0.05);
}

std::string NameOf(const testing::TestParamInfo<NoiseShape>& info) {
  constexpr std::array<const char*, 4> kNames = {"Normal", "HeavyTails", "Drift", "PerPromptEffects"};
  return kNames[static_cast<std::size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Shapes, AdaptiveSimulation,
                         testing::Values(NoiseShape::kNormal, NoiseShape::kHeavyTails, NoiseShape::kDrift,
                                         NoiseShape::kPerPromptEffects),
                         NameOf);

}  // namespace
}  // namespace uaqf::ranking
