// Thousands of synthetic jobs with a known best: intervals cover, probabilities are calibrated, declared winners win.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "server/ranking/decision_data.h"
#include "server/ranking/rank.h"
#include "server/ranking/resample.h"
#include "tests/server/ranking/fixtures.h"
#include "tests/server/ranking/scorecard.h"
#include "tests/server/ranking/simulated_jobs.h"

namespace uaqf::ranking {
namespace {

constexpr int kJobs = 4000;

Ranking RankJob(const SimulatedJob& job, const Profile& profile) {
  const auto measures = Measure(job.measurements);
  const DecisionData data = PrepareDecision(job.measurements);
  RankOptions options;
  options.data = &data;
  const auto ranking = Rank(*measures, profile, JobFacts{}, options);
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return *ranking;
}

class Simulation : public testing::TestWithParam<NoiseShape> {};

TEST_P(Simulation, SaysHowSureItIsAndIsRight) {
  Profile profile = BuiltIn("balanced");
  profile.max_delta_nll.reset();  // all variants stay feasible, whatever the draw
  JobSimulation simulation(GetParam(), profile, 20260101 + static_cast<std::uint64_t>(GetParam()));
  Scorecard card;
  for (int i = 0; i < kJobs; ++i) {
    const SimulatedJob job = simulation.Next();
    const Ranking ranking = RankJob(job, profile);
    for (const RankedVariant& variant : ranking.variants) {
      const std::size_t v = SimulatedVariant(variant.variant);
      if (v > 0) card.AddInterval(variant.standing->utility, job.utility[v]);
      if (variant.variant == ranking.winner) card.AddWinner(variant.standing->probability_best, v == job.best());
    }
  }
  std::printf("coverage %.4f, calibration error %.4f, declared winners wrong %.4f, hard jobs %.3f\n", card.coverage(),
              card.calibration_error(), card.wrong(), card.hard());
  EXPECT_GE(card.coverage(), 0.93);
  EXPECT_LE(card.coverage(), 0.97);
  EXPECT_LE(card.calibration_error(), 0.03);
  EXPECT_LE(card.wrong(), 0.05);
  EXPECT_GE(card.hard(), 0.30);
}

std::string NameOf(const testing::TestParamInfo<NoiseShape>& info) {
  constexpr std::array<const char*, 4> kNames = {"Normal", "HeavyTails", "Drift", "PerPromptEffects"};
  return kNames[static_cast<std::size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Shapes, Simulation,
                         testing::Values(NoiseShape::kNormal, NoiseShape::kHeavyTails, NoiseShape::kDrift,
                                         NoiseShape::kPerPromptEffects),
                         NameOf);

}  // namespace
}  // namespace uaqf::ranking
