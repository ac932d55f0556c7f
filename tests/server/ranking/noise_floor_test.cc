// FP16 timed twice: what it differs from itself, and what a ranking makes of it.
#include "server/ranking/noise_floor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "server/ranking/decision_data.h"
#include "server/ranking/measures.h"
#include "server/ranking/rank.h"
#include "server/ranking/slices.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

constexpr int kPrompts = 12, kRuns = 3, kBlock = 4;

// A job of fp16, `a` and fp16's twin, each with a time that depends on variant, prompt and run. Group 0, and one
// process for each variant.
template <typename LatencyOf>
Measurements Job(LatencyOf latency_of, const std::vector<std::string>& names = {"fp16", "a", kTwin}) {
  Recorder recorder(names);
  for (int v = 0; v < static_cast<int>(names.size()); ++v) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
      for (int run = 0; run < kRuns; ++run) recorder.Timing(v, prompt, run, latency_of(v, prompt, run), 100);
    }
  }
  Measurements m = std::move(recorder.measurements());
  m.timings.group.assign(m.timings.variant.size(), 0);
  m.timings.process = m.timings.variant;
  for (int v = 0; v + 1 < static_cast<int>(names.size()); ++v) {
    for (int window = 0; window < 6; ++window) {
      m.windows.variant.push_back(v);
      m.windows.window.push_back(window);
      m.windows.scored_tokens.push_back(100);
      m.windows.nll_sum.push_back(300 + window);
    }
  }
  return m;
}

// Chunks of fp16 and the twin differ by `shift` of the latency, and by `spread` to and fro from chunk to chunk.
double Shifted(int v, int prompt, int run, double shift, double spread) {
  const int chunk = prompt / kBlock + run * (kPrompts / kBlock);
  return (1 + 0.1 * prompt) * (v == 2 ? 1 + shift + (chunk % 2 == 0 ? spread : -spread) : 1);
}

Profile SpeedAlone() {
  Profile profile;
  profile.weights = {1, 0, 0, 0};
  return profile;
}

Ranking RankOf(Measurements m, const Profile& profile, int block = kBlock) {
  SplitRecords split = SplitTwin(std::move(m), block);
  const auto measures = Measure(split.ranked);
  const DecisionData data = PrepareDecision(split.ranked, {}, split.twin);
  RankOptions options;
  options.data = &data;
  auto ranking = Rank(*measures, profile, JobFacts{}, options);
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return *std::move(ranking);
}

TEST(SplitTwin, TakesTheTwinFromWhatIsRanked) {
  const SplitRecords split = SplitTwin(Job([](int, int, int) { return 1.0; }), kBlock);
  ASSERT_EQ(split.ranked.variants.size(), 2u);
  EXPECT_EQ(split.ranked.variants[1].name, "a");
  EXPECT_EQ(split.ranked.timings.variant.size(), 2u * kPrompts * kRuns);
  EXPECT_EQ(split.ranked.windows.variant.size(), 12u);
  ASSERT_TRUE(split.twin.has_value());
  EXPECT_EQ(split.twin->pair.timings.variant.size(), 2u * kPrompts * kRuns);
  EXPECT_TRUE(split.twin->separate_processes);
}

TEST(SplitTwin, LeavesAJobWithoutOneAsItIs) {
  const SplitRecords split = SplitTwin(Job([](int, int, int) { return 1.0; }, {"fp16", "a", "b"}), kBlock);
  EXPECT_EQ(split.ranked.variants.size(), 3u);
  EXPECT_FALSE(split.twin.has_value());
  EXPECT_FALSE(SplitTwin({}, kBlock).twin.has_value());
}

// Situation: the process that timed fp16 timed one chunk of the twin as well.
TEST(SplitTwin, SaysWhereOneProcessTimedBoth) {
  Measurements m = Job([](int, int, int) { return 1.0; });
  m.timings.process.back() = 0;
  EXPECT_FALSE(SplitTwin(std::move(m), kBlock).twin->separate_processes);
}

// Situation: fp16 was timed in two groups, the twin in the second, when the device was twice as slow.
TEST(SplitTwin, ComparesTheTwinWithTheFp16OfItsGroup) {
  Measurements m = Job([](int v, int, int) { return v == 2 ? 2.0 : 1.0; });
  TimingColumns& t = m.timings;
  for (std::size_t k = 0, rows = t.variant.size(); k < rows; ++k) {
    if (t.variant[k] == 2) t.group[k] = 1;
    if (t.variant[k] != 0) continue;
    t.variant.push_back(0);
    t.item.push_back(t.item[k]);
    t.repeat.push_back(t.repeat[k]);
    t.output_tokens.push_back(100);
    t.latency_ns.push_back(2'000'000'000);
    t.prefill_ns.push_back(0);
    t.decode_ns.push_back(0);
    t.group.push_back(1);
    t.process.push_back(0);
  }
  const SplitRecords split = SplitTwin(std::move(m), kBlock);
  EXPECT_EQ(split.twin->pair.timings.variant.size(), 2u * kPrompts * kRuns);
  EXPECT_NEAR(PrepareTwin(*split.twin).speed->value, 0, 1e-9);
}

TEST(NoiseFloor, IsTheFartherEndOfTheInterval) {
  SelfDifference difference{0.01, {-0.01, 0.03}};
  EXPECT_DOUBLE_EQ(difference.Floor(), 0.03);
  EXPECT_FALSE(difference.Differs());
  difference = {-0.02, {-0.03, -0.01}};
  EXPECT_DOUBLE_EQ(difference.Floor(), 0.03);
  EXPECT_TRUE(difference.Differs());
}

// Against the same by hand: 9 pairs of chunks, ln(1.01 +- 0.02) in turns.
TEST(NoiseFloor, IsStudentsTOverPairsOfChunks) {
  const SplitRecords split = SplitTwin(Job([](int v, int p, int r) { return Shifted(v, p, r, 0.01, 0.02); }), kBlock);
  const TwinData twin = PrepareTwin(*split.twin);
  EXPECT_EQ(twin.pairs, 9);
  const double slow = std::log(1.03), fast = std::log(0.99), mean = (5 * slow + 4 * fast) / 9;
  const double variance = (5 * std::pow(slow - mean, 2) + 4 * std::pow(fast - mean, 2)) / 8;
  const double half = 2.30600 * std::sqrt(variance / 9);
  EXPECT_NEAR(twin.latency->value, mean, 1e-7);
  EXPECT_NEAR(twin.latency->interval.low, mean - half, 1e-6);
  EXPECT_NEAR(twin.latency->interval.high, mean + half, 1e-6);
  EXPECT_NEAR(twin.speed->value, -mean, 1e-7);
}

// Situation: blocks of 8 and of 4 prompts, and the twin is slower in the smaller ones alone.
TEST(NoiseFloor, WeighsPairsByTheirPrompts) {
  const SplitRecords split = SplitTwin(Job([](int v, int p, int) { return v == 2 && p >= 8 ? 1.03 : 1.0; }), 8);
  const TwinData twin = PrepareTwin(*split.twin);
  EXPECT_EQ(twin.pairs, 6);
  EXPECT_NEAR(twin.latency->value, std::log(1.03) * 4 / 12, 1e-9);
}

// Situation: something disturbs single chunks of both for their whole length. Taking their prompts for independent
// would call fp16 different from itself.
TEST(NoiseFloor, TakesWhatDisturbsAChunkAsOneDisturbance) {
  const auto disturbed = [](int v, int prompt, int run) {
    return v == 2 && run == 0 && prompt / kBlock == 1 ? 1.3 : 1.0;
  };
  SplitRecords split = SplitTwin(Job(disturbed), kBlock);
  EXPECT_FALSE(PrepareTwin(*split.twin).latency->Differs());
}

// Situation: the twin has not run the last block yet, and one prompt of fp16 was given up.
TEST(NoiseFloor, ComparesOnlyPromptsThatBothHave) {
  Measurements m = Job([](int v, int p, int) { return v == 2 ? 1.02 : p == 11 ? 9.0 : 1.0; });
  TimingColumns& t = m.timings;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == 2 && t.item[k] >= 8) t.variant[k] = 1, t.repeat[k] += 50;
    if (t.variant[k] == 0 && t.item[k] == 1) t.variant[k] = 1, t.repeat[k] += 60;
  }
  const TwinData twin = PrepareTwin(*SplitTwin(std::move(m), kBlock).twin);
  EXPECT_EQ(twin.pairs, 6);
  EXPECT_NEAR(std::exp(twin.latency->value), 1.02, 1e-9);
}

TEST(NoiseFloor, IsNotToldByOnePair) {
  const TwinData twin = PrepareTwin(*SplitTwin(Job([](int, int, int) { return 1.0; }), 1000).twin);
  EXPECT_EQ(twin.pairs, kRuns) << "each run of the one block";
  EXPECT_TRUE(twin.problem.empty());
  Measurements m = Job([](int, int, int) { return 1.0; });
  for (std::size_t k = 0; k < m.timings.variant.size(); ++k) {
    if (m.timings.variant[k] == 2 && (m.timings.repeat[k] > 0 || m.timings.item[k] >= kBlock)) {
      m.timings.variant[k] = 1;
      m.timings.repeat[k] += 50;
    }
  }
  const Ranking ranking = RankOf(std::move(m), SpeedAlone());
  ASSERT_TRUE(ranking.floor.has_value());
  EXPECT_TRUE(AnyContains(ranking.warnings, "the noise floor is not known")) << ranking.floor->problem;
  EXPECT_NE(ranking.floor->problem.find("timed on 1 block"), std::string::npos) << ranking.floor->problem;
}

TEST(NoiseFloor, IsAbsentWhereTheJobDidNotMeasureIt) {
  const Ranking ranking = RankOf(Job([](int, int, int) { return 1.0; }, {"fp16", "a", "b"}), SpeedAlone());
  EXPECT_FALSE(ranking.floor.has_value());
  EXPECT_FALSE(AnyContains(ranking.warnings, "noise"));
}

// Situation: `a` is 1 % faster on every prompt, without any spread, and fp16 differs from itself by 2 %.
TEST(NoiseFloor, TiesWhatItHides) {
  const auto latency = [](int v, int p, int r) {
    return v == 1 ? 0.99 * (1 + 0.1 * p) : Shifted(v, p, r, 0.02, 0.001);
  };
  Profile profile = SpeedAlone();
  profile.normalization = Normalization::kMinMax;
  const Ranking ranking = RankOf(Job(latency), profile);
  EXPECT_EQ(ranking.winner, "a");
  const RankedVariant& fp16 = Find(ranking, "fp16");
  EXPECT_GT(fp16.standing->behind.low, 0) << "told apart but for the floor";
  EXPECT_TRUE(fp16.standing->tied);
  EXPECT_GT(fp16.standing->noise, *Find(ranking, "a").utility - *fp16.utility);
  EXPECT_TRUE(Find(ranking, "a").speedup->within_noise);
  EXPECT_EQ(Find(ranking, "a").standing->noise, 0) << "nothing lies between the winner and itself";
}

// Situation: the same with 5 %, which the floor of 2 % does not hide.
TEST(NoiseFloor, LetsGreaterDifferencesPass) {
  const auto latency = [](int v, int p, int r) {
    return v == 1 ? 0.95 * (1 + 0.1 * p) : Shifted(v, p, r, 0.02, 0.001);
  };
  for (const Normalization normalization : {Normalization::kMinMax, Normalization::kBaseline}) {
    Profile profile = SpeedAlone();
    profile.normalization = normalization;
    const Ranking ranking = RankOf(Job(latency), profile);
    EXPECT_FALSE(Find(ranking, "fp16").standing->tied);
    EXPECT_FALSE(Find(ranking, "a").speedup->within_noise);
    EXPECT_FALSE(Find(ranking, "a").terms[0].within_noise);
  }
}

// Against fp16, a term in which nobody leaves the floor counts nothing (METHODS.md, section 1); min-max is literal.
TEST(NoiseFloor, TakesATermInWhichAllLieWithinItOutOfTheUtility) {
  const auto latency = [](int v, int p, int r) {
    return v == 1 ? 0.99 * (1 + 0.1 * p) : Shifted(v, p, r, 0.02, 0.001);
  };
  Profile profile = SpeedAlone();
  const Ranking against_fp16 = RankOf(Job(latency), profile);
  const Term& term = Find(against_fp16, "a").terms[0];
  EXPECT_TRUE(term.within_noise);
  EXPECT_EQ(term.contribution, 0);
  EXPECT_EQ(term.interval->low, 0);
  EXPECT_EQ(term.interval->high, 0);
  EXPECT_EQ(against_fp16.winner, "fp16") << "equal utilities go to fp16";
  EXPECT_TRUE(Find(against_fp16, "a").standing->tied);
  EXPECT_NE(against_fp16.formula.find("S~ = 0, since all lie within the noise floor"), std::string::npos);
  EXPECT_TRUE(AnyContains(against_fp16.warnings, "speed: every variant lies within"));
  profile.normalization = Normalization::kMinMax;
  EXPECT_FALSE(Find(RankOf(Job(latency), profile), "a").terms[0].within_noise);
}

// Situation: one variant is far outside, so the term counts for all, and the floor for each pair.
TEST(NoiseFloor, KeepsATermThatOneVariantLeaves) {
  const auto latency = [](int v, int p, int r) {
    const double base = 1 + 0.1 * p;
    return v == 1 ? 0.995 * base : v == 2 ? 0.5 * base : v == 0 ? base : base * (1.01 + (r % 2 == 0 ? 1e-4 : -1e-4));
  };
  const Ranking ranking = RankOf(Job(latency, {"fp16", "a", "b", kTwin}), SpeedAlone());
  EXPECT_FALSE(Find(ranking, "a").terms[0].within_noise);
  EXPECT_TRUE(Find(ranking, "a").speedup->within_noise);
  EXPECT_FALSE(Find(ranking, "b").speedup->within_noise);
  EXPECT_FALSE(Find(ranking, "a").standing->tied) << "it is far from the winner";
}

TEST(NoiseFloor, HasAFloorForStability) {
  // Runs of the twin vary by twice as much as those of fp16.
  const auto latency = [](int v, int, int r) { return 1 + (v == 2 ? 0.02 : 0.01) * (r - 1); };
  const SplitRecords split = SplitTwin(Job(latency), kBlock);
  Profile profile = BuiltIn("balanced");
  NoiseFloor floor = FloorOf(PrepareTwin(*split.twin), profile);
  ASSERT_TRUE(floor.stability.has_value());
  EXPECT_NEAR(floor.stability->value, 0.01, 1e-9);
  EXPECT_NEAR(TermFloor(TermKind::kStability, floor, Normalization::kBaseline, {0.01, 0.02}, 0.01, 0.02), 0.01 / 0.05,
              1e-9);
  profile.stability_form = StabilityForm::kCombined;
  profile.stability_alpha = 3;
  profile.stability_beta = 0;
  floor = FloorOf(PrepareTwin(*split.twin), profile);
  EXPECT_NEAR(floor.stability->value, 0.03, 1e-9);
}

// The twin's weights are fp16's own.
TEST(NoiseFloor, HidesNoLossAndNoMemory) {
  NoiseFloor floor;
  floor.speed = {0.1, {0, 0.2}};
  for (const TermKind kind : {TermKind::kQuality, TermKind::kMemory}) {
    EXPECT_EQ(TermFloor(kind, floor, Normalization::kBaseline, {1, 2}, 1, 2), 0);
    EXPECT_FALSE(AllWithin(kind, floor, {1, 1}, 1, {0, 0}));
  }
}

TEST(NoiseFloor, WarnsWhereFp16DiffersFromItself) {
  const auto latency = [](int v, int p, int r) { return v == 1 ? 0.5 : Shifted(v, p, r, 0.03, 0.002); };
  const Ranking ranking = RankOf(Job(latency), SpeedAlone());
  EXPECT_TRUE(ranking.floor->speed.Differs());
  EXPECT_TRUE(AnyContains(ranking.warnings, "fp16 differs from itself by -2.9 % tokens/s"));
  const auto same = [](int v, int p, int r) { return v == 1 ? 0.5 : Shifted(v, p, r, 0, 0.002); };
  EXPECT_FALSE(AnyContains(RankOf(Job(same), SpeedAlone()).warnings, "differs from itself"));
}

// Situation: fp16 differs from itself on the prompts of one part alone.
TEST(NoiseFloor, IsThatOfItsOwnPromptsInEveryPart) {
  const auto latency = [](int v, int p, int r) {
    return v == 1 ? 0.5 : v == 2 && p % 2 == 1 ? 1.05 + 0.001 * r : 1 + 0.001 * r;
  };
  const SplitRecords split = SplitTwin(Job(latency), kBlock);
  SliceLabels labels{{"even", "odd"}, {}};
  for (int p = 0; p < kPrompts; ++p) labels.of_item.push_back(p % 2);
  const std::vector<Slice> slices = RankSlices(split.ranked, labels, SpeedAlone(), {}, false, {}, split.twin);
  ASSERT_EQ(slices.size(), 2u);
  for (const Slice& slice : slices) ASSERT_TRUE(slice.ranking.ok()) << slice.ranking.status();
  EXPECT_EQ(slices[0].ranking->floor->pairs, 9);
  EXPECT_FALSE(slices[0].ranking->floor->speed.Differs());
  EXPECT_TRUE(slices[1].ranking->floor->speed.Differs());
  EXPECT_NEAR(slices[1].ranking->floor->latency.value, std::log(1.05), 1e-3);
}

// Renaming it would make a variant of it; as it is, nobody can see it in a ranking.
TEST(NoiseFloor, IsNoVariantOfTheAnswer) {
  const Ranking ranking = RankOf(Job([](int v, int, int) { return v == 1 ? 0.5 : 1.0; }), SpeedAlone());
  EXPECT_EQ(ranking.variants.size(), 2u);
  for (const RankedVariant& variant : ranking.variants) EXPECT_NE(variant.variant, kTwin);
  EXPECT_EQ(ranking.records_used, 2 * kPrompts * kRuns + 12);
}

}  // namespace
}  // namespace uaqf::ranking
