// Energy by the device's counter: over chunks, and drawn again by blocks of prompts.
#include "server/ranking/energy.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "server/ranking/decision_data.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::HasSubstr;

// Ten blocks of two prompts, two runs of each: fp16 takes about 1 J a token, a about 0.5 J, give or take 10 % by block.
Recorder Job(int blocks = 10) {
  Recorder recorder({"fp16", "a"});
  for (int prompt = 0; prompt < 2 * blocks; ++prompt) {
    for (int run = 0; run < 2; ++run) recorder.Timing(0, prompt, run, 2, 50).Timing(1, prompt, run, 1, 50);
  }
  for (int block = 0; block < blocks; ++block) {
    for (int run = 0; run < 2; ++run) {
      const double joules = 100 * (0.9 + 0.2 * ((block * 7) % 10) / 9);
      recorder.Energy(0, 2 * block, 2, joules, 100).Energy(1, 2 * block, 2, joules / 2, 100);
    }
  }
  for (int window = 0; window < 10; ++window) recorder.Window(0, window, 3).Window(1, window, 3.05);
  return recorder;
}

std::vector<VariantMeasures> MeasuresOf(Recorder recorder) {
  const auto measures = Measure(recorder.measurements());
  EXPECT_TRUE(measures.ok()) << measures.status();
  return measures.ok() ? *measures : std::vector<VariantMeasures>{};
}

Check CheckOf(Recorder recorder, double limit, int variant = 1) {
  const auto measures = Measure(recorder.measurements());
  const DecisionData data = PrepareDecision(recorder.measurements());
  return CheckConstraints({{LimitedFigure::kEnergyPerToken, limit}}, 0, data, static_cast<std::size_t>(variant), 0,
                          (*measures)[static_cast<std::size_t>(variant)])[0];
}

TEST(Energy, IsThatOfAllChunksOverAllTokens) {
  Recorder recorder = Job(0);
  recorder.Energy(1, 0, 2, 10, 100).Energy(1, 2, 2, 50, 100);
  const auto measures = MeasuresOf(recorder);
  EXPECT_FALSE(measures[0].energy);
  ASSERT_TRUE(measures[1].energy);
  EXPECT_DOUBLE_EQ(measures[1].energy->joules_per_token.value, 0.3);
  EXPECT_EQ(measures[1].energy->chunks, 2);
  EXPECT_DOUBLE_EQ(measures[1].energy->energy_j, 60);
  EXPECT_EQ(measures[1].energy->output_tokens, 200);
  EXPECT_FALSE(measures[1].energy->joules_per_token.half_width) << "two blocks tell nothing of their spread";
}

// Half width by hand: ratio r = 0.5; each block has 200 tokens and a residual of 2 (J - 50 * ...).
TEST(Energy, HasTheIntervalOfARatioOverBlocks) {
  const auto measures = MeasuresOf(Job());
  const EnergyMeasure& energy = *measures[1].energy;
  EXPECT_NEAR(energy.joules_per_token.value, 0.5, 1e-12);
  double squares = 0;
  for (int block = 0; block < 10; ++block) {
    const double residual = 100 * (0.9 + 0.2 * ((block * 7) % 10) / 9) - 100;
    squares += residual * residual;
  }
  const double t = 2.26216;  // 9 degrees
  ASSERT_TRUE(energy.joules_per_token.half_width);
  EXPECT_NEAR(*energy.joules_per_token.half_width, t * std::sqrt(10.0 / 9 * squares) / 2000, 1e-6);
}

TEST(Energy, DrawsAgainByBlocksAndAgreesWithTheRatiosInterval) {
  Recorder recorder = Job();
  const auto drawn = ResampleEnergy(EnergyOf(recorder.measurements()));
  ASSERT_EQ(drawn.size(), 2u);
  EXPECT_EQ(drawn[1].blocks, 10);
  ASSERT_EQ(drawn[1].resampled.size(), 2000u);
  const Interval interval = *drawn[1].Bounds();
  const double half = *MeasuresOf(recorder)[1].energy->joules_per_token.half_width;
  EXPECT_NEAR(interval.width() / 2, half, 0.15 * half);
  // The same draws for all: what differs between variants by a factor does so in every resample.
  for (std::size_t r = 0; r < 2000; ++r) ASSERT_NEAR(drawn[0].resampled[r], 2 * drawn[1].resampled[r], 1e-9);
}

TEST(Energy, TakesOverlappingChunksForOneBlock) {
  Recorder recorder = Job(0);
  // A chunk that was split in its second run.
  recorder.Energy(1, 0, 4, 40, 100).Energy(1, 0, 2, 20, 50).Energy(1, 2, 2, 20, 50).Energy(1, 4, 4, 30, 100);
  EXPECT_EQ(EnergyOf(recorder.measurements())[1].blocks, 2);
}

TEST(Energy, LeavesOutWhatNoCounterGives) {
  Recorder recorder = Job(0);
  recorder.Energy(1, 0, 2, 0, 100)
      .Energy(1, 2, 2, -5, 100)
      .Energy(1, 4, 2, std::numeric_limits<double>::quiet_NaN(), 100)
      .Energy(1, 6, 2, std::numeric_limits<double>::infinity(), 100)
      .Energy(1, 8, 2, 10, 0);
  EXPECT_FALSE(MeasuresOf(recorder)[1].energy);
  recorder.Energy(1, 10, 2, 10, 100);
  EXPECT_DOUBLE_EQ(MeasuresOf(recorder)[1].energy->joules_per_token.value, 0.1);
}

TEST(Energy, ScalesWithItsUnit) {
  Recorder one = Job(), thousand = Job();
  for (double& joules : thousand.measurements().energies.energy_j) joules *= 1000;
  const auto a = ResampleEnergy(EnergyOf(one.measurements())), b = ResampleEnergy(EnergyOf(thousand.measurements()));
  EXPECT_NEAR(*b[0].value, 1000 * *a[0].value, 1e-9);
  EXPECT_NEAR(b[0].Bounds()->high, 1000 * a[0].Bounds()->high, 1e-9);
}

TEST(Energy, ColumnsOfUnequalLengthAreRefused) {
  Recorder recorder = Job();
  recorder.measurements().energies.count.pop_back();
  EXPECT_THAT(std::string(Measure(recorder.measurements()).status().message()), HasSubstr("energy table"));
}

TEST(EnergyLimit, IsMetWhenTheIntervalIs) {
  const Check check = CheckOf(Job(), 0.6);
  EXPECT_EQ(check.verdict, Verdict::kMet);
  EXPECT_NEAR(*check.value, 0.5, 1e-12);
  EXPECT_NEAR(*check.margin, 0.1, 1e-12);
  EXPECT_EQ(*check.probability_met, 1);
  ASSERT_TRUE(check.interval);
  EXPECT_LT(check.interval->high, 0.6);
}

TEST(EnergyLimit, IsUnsureWhenOnlyTheValueIsWithin) {
  const double high = CheckOf(Job(), 1).interval->high;
  const Check check = CheckOf(Job(), (0.5 + high) / 2);
  EXPECT_EQ(check.verdict, Verdict::kUnsure);
  EXPECT_GT(*check.probability_met, 0.5);
  EXPECT_LT(*check.probability_met, 0.975);
  EXPECT_THAT(check.reason, HasSubstr("energy_per_token is 0.5 J/token"));
  EXPECT_EQ(CheckOf(Job(), *check.needed_limit).verdict, Verdict::kMet);
}

TEST(EnergyLimit, IsNotMetAboveIt) {
  EXPECT_EQ(CheckOf(Job(), 0.4).verdict, Verdict::kNotMet);
  EXPECT_EQ(*CheckOf(Job(), 0.4).probability_met, 0);
}

TEST(EnergyLimit, IsNeverMetWhereNothingCountsEnergy) {
  Recorder recorder = Job();
  recorder.measurements().energies = {};
  const Check check = CheckOf(recorder, 1e9);
  EXPECT_EQ(check.verdict, Verdict::kUndecidable);
  EXPECT_EQ(check.reason, "energy_per_token is not measured: the device counts no energy");
  EXPECT_FALSE(check.value);
  EXPECT_FALSE(check.needed_limit);
}

TEST(EnergyLimit, IsNotDecidedByTooFewBlocks) {
  const Check check = CheckOf(Job(4), 1);
  EXPECT_EQ(check.verdict, Verdict::kUndecidable);
  EXPECT_EQ(check.reason,
            "energy_per_token: 4 blocks of prompts do not decide it, expected at least 5: measure more prompts");
  EXPECT_NEAR(*check.margin, 1 - *check.value, 1e-12);
}

TEST(EnergyLimit, LeavesOutOfARankingWhoTakesMore) {
  Recorder recorder = Job();
  Profile profile = BuiltIn("balanced");
  profile.constraints = {{LimitedFigure::kEnergyPerToken, 0.7}};
  const auto measures = Measure(recorder.measurements());
  const DecisionData data = PrepareDecision(recorder.measurements());
  RankOptions options;
  options.data = &data;
  const auto ranking = Rank(*measures, profile, JobFacts{}, options);
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  EXPECT_EQ(ranking->winner, "a");
  EXPECT_EQ(Find(*ranking, "fp16").status, RankStatus::kNotFeasible);
  EXPECT_NEAR(*Find(*ranking, "fp16").energy_per_token, 1, 1e-12);
  EXPECT_LT(Find(*ranking, "a").energy_interval->high, 0.6);
}

}  // namespace
}  // namespace uaqf::ranking
