// Thousands of synthetic jobs with a known best: intervals cover, probabilities are calibrated, declared winners win.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "server/ranking/decision_data.h"
#include "server/ranking/rank.h"
#include "server/ranking/resample.h"
#include "tests/server/ranking/fixtures.h"
#include "tests/server/ranking/simulated_jobs.h"

namespace uaqf::ranking {
namespace {

constexpr int kJobs = 4000;

// What the rankings of many jobs said, against what is true.
class Scorecard {
 public:
  void Add(const Ranking& ranking, const std::vector<double>& truth) {
    ++jobs_;
    const auto best = std::max_element(truth.begin(), truth.end()) - truth.begin();
    for (const RankedVariant& variant : ranking.variants) {
      const auto v = IndexOf(variant.variant);
      if (v > 0) {
        ++intervals_;
        const Interval& said = variant.standing->utility;
        covered_ += said.low <= truth[v] && truth[v] <= said.high ? 1 : 0;
      }
      if (variant.variant != ranking.winner) continue;
      const double p = variant.standing->probability_best;
      const bool right = static_cast<std::ptrdiff_t>(v) == best;
      Bin& bin = bins_[std::min<std::size_t>(static_cast<std::size_t>(p * bins_.size()), bins_.size() - 1)];
      bin.said += p;
      bin.right += right ? 1 : 0;
      ++bin.jobs;
      hard_ += p >= 0.5 && p < 0.95 ? 1 : 0;
      declared_ += p >= 0.95 ? 1 : 0;
      wrong_ += p >= 0.95 && !right ? 1 : 0;
    }
  }

  double coverage() const { return static_cast<double>(covered_) / intervals_; }
  double hard() const { return static_cast<double>(hard_) / jobs_; }
  double wrong() const { return declared_ == 0 ? 0 : static_cast<double>(wrong_) / declared_; }
  double calibration_error() const {
    double error = 0;
    for (const Bin& bin : bins_) error += std::abs(bin.said - bin.right) / jobs_;
    return error;
  }

 private:
  struct Bin {
    double said = 0;
    double right = 0;
    int jobs = 0;
  };
  static std::size_t IndexOf(const std::string& name) {
    return name == "fp16" ? 0 : static_cast<std::size_t>(name[0] - 'a') + 1;
  }

  std::array<Bin, 10> bins_ = {};
  int jobs_ = 0, intervals_ = 0, covered_ = 0, hard_ = 0, declared_ = 0, wrong_ = 0;
};

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
    card.Add(RankJob(job, profile), job.utility);
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
