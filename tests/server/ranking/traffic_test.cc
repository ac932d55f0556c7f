// Speed under load: times over a grid, what lies between its points, a profile's mix, and where fp16 is passed.
#include "server/ranking/traffic.h"

#include <gmock/gmock.h>

#include <cmath>

#include "server/ranking/generator.h"
#include "server/ranking/traffic_map.h"
#include "server/ranking/traffic_speed.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int kFp16 = 0, kFast = 1, kLate = 2;

// Seconds of a batch: fp16 reads weights for 0.1 s a step, `fast` for half of that; `late` starts slower than fp16 and
// passes it at batch 4, where both take 0.14 s a step.
double StepSeconds(int variant, double batch) {
  if (variant == kFast) return 0.05 + 0.001 * batch;
  return variant == kLate ? 0.12 + 0.005 * batch : 0.10 + 0.01 * batch;
}
double BatchSeconds(int variant, const TrafficShape& shape) {
  return 0.001 * shape.batch * shape.input_tokens + StepSeconds(variant, shape.batch) * shape.output_tokens;
}

TrafficShape ShapeAt(const TrafficGrid& grid, std::size_t cell) {
  const std::size_t outputs = grid.output_tokens.size(), inputs = grid.input_tokens.size();
  return {grid.batches[cell / (inputs * outputs)], grid.input_tokens[cell / outputs % inputs],
          grid.output_tokens[cell % outputs]};
}

void AddBatch(int variant, std::size_t cell, int draw, double seconds, Measurements* m, int group = 0) {
  TrafficColumns& t = m->traffic;
  t.variant.push_back(variant);
  t.cell.push_back(static_cast<std::int32_t>(cell));
  t.draw.push_back(draw);
  t.latency_ns.push_back(std::llround(seconds * 1e9));
  t.prefill_ns.push_back(std::llround(seconds * 0.25e9));
  t.decode_ns.push_back(std::llround(seconds * 0.75e9));
  t.prefill_shares.push_back({0.1, 0.8});
  t.decode_shares.push_back({0.9, 0.2});
  t.group.push_back(group);
}

// Draws differ by up to 2 % together, and each time by up to 0.1 %.
Measurements Job(int draws = 8, double common = 0.02, double own = 0.001) {
  Recorder recorder({"fp16", "fast", "late"});
  for (int prompt = 0; prompt < 6; ++prompt) {
    for (int run = 0; run < 2; ++run) {
      for (int v = 0; v < 3; ++v) recorder.Timing(v, prompt, run, 1 + 0.01 * prompt, 10);
    }
  }
  Measurements m = recorder.measurements();
  m.grid = {{1, 8, 32}, {128, 512}, {64}};
  Generator random(7);
  const auto unit = [&random] { return static_cast<double>(random.Below(2001)) / 1000 - 1; };
  for (int draw = 0; draw < draws; ++draw) {
    const double all = 1 + common * unit();
    for (int v = 0; v < 3; ++v) {
      for (std::size_t cell = 0; cell < m.grid.Count(); ++cell) {
        AddBatch(v, cell, draw, BatchSeconds(v, ShapeAt(m.grid, cell)) * all * (1 + own * unit()), &m);
      }
    }
  }
  return m;
}

Measurements Exact(int draws = 8) { return Job(draws, 0, 0); }

Profile SpeedAlone(TrafficMix mix) {
  Profile profile;
  profile.weights = {.speed = 1};
  profile.traffic = std::move(mix);
  return profile;
}

absl::StatusOr<Ranking> RankBy(const Measurements& m, const Profile& profile) {
  const auto measures = Measure(m);
  EXPECT_TRUE(measures.ok()) << measures.status();
  const DecisionData data = PrepareDecision(m);
  RankOptions options;
  options.data = &data;
  return Rank(*measures, profile, {}, options);
}

TEST(Traffic, TimesAreThoseOfTheGridAtItsPointsAndLinearBetween) {
  const auto times = ResampleTraffic(Exact());
  ASSERT_TRUE(times);
  for (const TrafficShape& shape :
       {TrafficShape{1, 128, 64}, {8, 512, 64}, {32, 512, 64}, {3, 300, 64}, {20, 200, 64}}) {
    for (int v : {kFp16, kFast, kLate}) {
      // Linear in every length, and in the batch size for any one: products of the two are what a corner misses.
      const double want = BatchSeconds(v, shape);
      EXPECT_NEAR(SecondsAt(*times, TrafficTimes::kAllDraws, static_cast<std::size_t>(v), shape), want, 0.02 * want)
          << ShapeText(shape);
    }
  }
  EXPECT_DOUBLE_EQ(SecondsAt(*times, TrafficTimes::kAllDraws, kFast, {32, 512, 64}),
                   std::llround(BatchSeconds(kFast, {32, 512, 64}) * 1e9) / 1e9);
}

TEST(Traffic, AMixCountsTheDevicesTimeForEachRequest) {
  const auto times = ResampleTraffic(Exact());
  const TrafficMix mix = {{{1, 128, 64}, 0.25}, {{8, 512, 64}, 0.75}};
  const double seconds = 0.25 * BatchSeconds(kFast, mix[0].shape) + 0.75 * BatchSeconds(kFast, mix[1].shape) / 8;
  EXPECT_NEAR(MixTokensPerS(*times, TrafficTimes::kAllDraws, kFast, mix), 64 / seconds, 1e-6 * 64 / seconds);
}

TEST(Traffic, AProfilesMixTakesThePlaceOfTheSpeedOfBatchOne) {
  const Measurements m = Job();
  const auto alone = RankBy(m, SpeedAlone({}));
  const auto small = RankBy(m, SpeedAlone({{{1, 128, 64}, 1}}));
  const auto large = RankBy(m, SpeedAlone({{{32, 512, 64}, 1}}));
  for (const auto* ranking : {&alone, &small, &large}) ASSERT_TRUE(ranking->ok()) << ranking->status();
  const auto speedup = [](const Ranking& ranking, const std::string& name) {
    for (const RankedVariant& v : ranking.variants) {
      if (v.variant == name) return v.speedup->value;
    }
    return 0.0;
  };
  EXPECT_DOUBLE_EQ(speedup(*alone, "late"), 1) << "all take the same time at batch 1 in the timing records";
  EXPECT_NEAR(speedup(*small, "late"), BatchSeconds(kFp16, {1, 128, 64}) / BatchSeconds(kLate, {1, 128, 64}), 0.002);
  EXPECT_NEAR(speedup(*large, "late"), BatchSeconds(kFp16, {32, 512, 64}) / BatchSeconds(kLate, {32, 512, 64}), 0.002);
  EXPECT_EQ(small->winner, "fast");
  EXPECT_EQ(small->variants[1].variant, "fp16") << "late is the slower one at batch 1";
  EXPECT_EQ(large->variants[1].variant, "late");
  EXPECT_THAT(large->formula, HasSubstr("T over the traffic 100 % 32 x 512/64"));
}

TEST(Traffic, DrawsAreTheUnitsThatItsUncertaintyComesFrom) {
  const auto ranking = RankBy(Job(8, /*common=*/0.05, /*own=*/0.01), SpeedAlone({{{8, 128, 64}, 1}}));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  const Comparison& speedup = *ranking->variants[0].speedup;
  EXPECT_LT(speedup.interval.low, speedup.value);
  EXPECT_GT(speedup.interval.high, speedup.value);
  EXPECT_LT(speedup.interval.width(), speedup.unpaired.width()) << "what draws have in common cancels";
}

TEST(Traffic, FewerThanFiveDrawsRankWithoutSayingHowSure) {
  const auto ranking = RankBy(Job(4), SpeedAlone({{{8, 128, 64}, 1}}));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  EXPECT_EQ(ranking->winner, "fast");
  EXPECT_FALSE(ranking->variants[0].standing);
  EXPECT_THAT(ranking->warnings, testing::Contains(HasSubstr("4 draws of the traffic grid, expected at least 5")));
  ASSERT_TRUE(ranking->traffic);
  EXPECT_FALSE(ranking->traffic->cells[0].variants[1].interval);
}

TEST(Traffic, AMixThatNoGridSpansIsNotDecidableAndSaysHowToMeasureIt) {
  Measurements without = Job();
  without.grid = {};
  without.traffic = {};
  const auto none = RankBy(without, SpeedAlone({{{8, 128, 64}, 1}}));
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("--grid batch=1,8,32"));
  const auto outside = RankBy(Job(), SpeedAlone({{{16, 1024, 64}, 1}}));
  EXPECT_EQ(outside.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(outside.status().message()), HasSubstr("16 x 1024/64, outside of the grid"));
  const auto length = RankBy(Job(), SpeedAlone({{{8, 128, 65}, 1}}));
  EXPECT_THAT(std::string(length.status().message()), HasSubstr("output 64 alone"));
}

TEST(Traffic, AVariantThatLacksACombinationLosesItsSpeedAndNoOtherDoes) {
  Measurements m = Exact();
  TrafficColumns& t = m.traffic;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == kFast && t.cell[k] == 5) t.variant[k] = -1;
  }
  const auto ranking = RankBy(m, SpeedAlone({{{1, 128, 64}, 1}}));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  EXPECT_EQ(ranking->winner, "fp16");
  EXPECT_EQ(ranking->variants.back().variant, "fast");
  EXPECT_THAT(ranking->variants.back().reason, HasSubstr("not every batch of the traffic grid"));
  EXPECT_EQ(ranking->traffic->cells[5].variants.size(), 2u);
}

TEST(Traffic, ADrawThatOneOfThemLacksCountsForNone) {
  Measurements m = Exact(6);
  for (std::size_t k = 0; k < m.traffic.variant.size(); ++k) {
    // Another time, so that it would show.
    if (m.traffic.draw[k] == 5) m.traffic.latency_ns[k] *= 10;
    if (m.traffic.draw[k] == 5 && m.traffic.variant[k] == kLate) m.traffic.variant[k] = -1;
  }
  const auto times = ResampleTraffic(m);
  EXPECT_EQ(times->draws(), 5u);
  EXPECT_NEAR(times->Seconds(TrafficTimes::kAllDraws, kFp16, 0), BatchSeconds(kFp16, {1, 128, 64}), 1e-9);
}

// Leaves the variant those draws of the cell for which `has` holds.
template <typename Has>
void KeepDraws(int variant, std::int32_t cell, Has has, Measurements* m) {
  TrafficColumns& t = m->traffic;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == variant && t.cell[k] == cell && !has(t.draw[k])) t.variant[k] = -1;
  }
}

// Situation: batches of one combination were quarantined but one.
TEST(Traffic, ACombinationOfFewDrawsTakesTheUncertaintyFromNoOther) {
  Measurements m = Job();
  KeepDraws(
      kLate, 2, [](int draw) { return draw == 0; }, &m);
  const auto times = ResampleTraffic(m);
  ASSERT_TRUE(times);
  EXPECT_EQ(times->draws(), 8u);
  EXPECT_GT(times->resamples(), 0);
  EXPECT_FALSE(times->Has(kLate, 2));
  EXPECT_TRUE(times->Has(kLate, 3));
  EXPECT_THAT(times->notes(), ElementsAre(HasSubstr("late: 1 of the 6 combinations of the traffic grid are left out")));
  EXPECT_THAT(times->notes(), ElementsAre(HasSubstr("expected at least 5: 8 x 128/64 in 1")));
  const auto ranking = RankBy(m, SpeedAlone({{{8, 128, 64}, 1}}));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  EXPECT_TRUE(ranking->variants[0].standing);
  EXPECT_THAT(ranking->variants.back().reason, HasSubstr("in at least 5 of the draws"));
}

TEST(Traffic, CombinationsOfOtherDrawsAreNoReasonToDenyTheGrid) {
  Measurements m = Job();
  KeepDraws(
      kLate, 2, [](int draw) { return draw < 4; }, &m);
  KeepDraws(
      kFast, 3, [](int draw) { return draw >= 4; }, &m);
  const auto times = ResampleTraffic(m);
  ASSERT_TRUE(times);
  EXPECT_EQ(times->draws(), 8u) << "4 would tell of no draw how sure it is";
  EXPECT_EQ(times->notes().size(), 2u);

  Measurements apart = Job(4);
  KeepDraws(
      kLate, 2, [](int draw) { return draw < 2; }, &apart);
  KeepDraws(
      kFast, 3, [](int draw) { return draw >= 2; }, &apart);
  const auto halves = ResampleTraffic(apart);
  ASSERT_TRUE(halves);
  EXPECT_EQ(halves->draws(), 2u);
  EXPECT_NE(halves->Has(kLate, 2), halves->Has(kFast, 3)) << "one of two that have no draw in common";
}

// Situation: the job ended in the first draw of its second group.
TEST(Traffic, AGroupThatHasJustBegunTakesNoDraws) {
  Measurements m = Job();
  const std::size_t rows = m.traffic.variant.size();
  for (std::size_t k = 0; k < rows; ++k) {
    TrafficColumns& t = m.traffic;
    if (t.variant[k] == kLate) (t.draw[k] == 0 ? t.group[k] : t.variant[k]) = t.draw[k] == 0 ? 1 : -1;
    if (t.variant[k] == kFp16 && t.draw[k] == 0) {
      AddBatch(kFp16, static_cast<std::size_t>(t.cell[k]), 0, 1e-9 * static_cast<double>(t.latency_ns[k]), &m, 1);
    }
  }
  const auto times = ResampleTraffic(m);
  ASSERT_TRUE(times);
  EXPECT_EQ(times->draws(), 8u);
  EXPECT_TRUE(times->HasAll(kFast));
  EXPECT_FALSE(times->Has(kLate, 0));
}

TEST(Traffic, WithoutABatchYetIsNotDenied) {
  Measurements m = Job();
  m.traffic = {};
  const auto none = RankBy(m, SpeedAlone({{{8, 128, 64}, 1}}));
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("wait for the first where the job has a grid"));
}

TEST(Traffic, TimesOfALaterGroupAreBroughtToTheScaleOfTheFirstByTheirFp16) {
  Measurements m = Exact();
  TrafficColumns& t = m.traffic;
  const std::size_t rows = t.variant.size();
  for (std::size_t k = 0; k < rows; ++k) {
    if (t.variant[k] == kLate) {
      t.group[k] = 1;
      t.latency_ns[k] *= 2;  // the device is slower by half by then
    }
    if (t.variant[k] == kFp16) {
      AddBatch(kFp16, static_cast<std::size_t>(t.cell[k]), t.draw[k], 2e-9 * static_cast<double>(t.latency_ns[k]), &m,
               1);
    }
  }
  const auto times = ResampleTraffic(m), plain = ResampleTraffic(Exact());
  for (std::size_t cell = 0; cell < m.grid.Count(); ++cell) {
    for (int v : {kFp16, kLate}) {
      EXPECT_NEAR(times->Seconds(TrafficTimes::kAllDraws, static_cast<std::size_t>(v), cell),
                  plain->Seconds(TrafficTimes::kAllDraws, static_cast<std::size_t>(v), cell), 1e-8);
    }
  }
}

TEST(Traffic, MixesThatCannotBeAreRefused) {
  EXPECT_TRUE(Validate(TrafficMix{}).ok());
  EXPECT_TRUE(Validate(TrafficMix{{{8, 128, 64}, 0.4}, {{1, 128, 64}, 0.6}}).ok());
  for (const TrafficMix& mix : {TrafficMix{{{0, 128, 64}, 1}}, TrafficMix{{{1, 128, 64}, -1}, {{1, 128, 64}, 2}},
                                TrafficMix{{{1, 128, 64}, NAN}}, TrafficMix{{{1, 128, 64}, 0.5}}}) {
    EXPECT_EQ(Validate(mix).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(std::string(Validate(TrafficMix{{{1, 128, 64}, 0.5}}).message()), HasSubstr("sum to 0.5"));
}

TEST(TrafficMap, SaysWhereAVariantPassesFp16) {
  const auto ranking = RankBy(Job(), SpeedAlone({}));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  ASSERT_TRUE(ranking->traffic);
  const TrafficMap& map = *ranking->traffic;
  EXPECT_EQ(map.draws, 8);
  ASSERT_EQ(map.cells.size(), 6u);
  ASSERT_EQ(map.crossovers.size(), 2u) << "late, with 128 and with 512 tokens in";
  for (const Crossover& crossover : map.crossovers) {
    EXPECT_EQ(crossover.variant, "late");
    EXPECT_TRUE(crossover.faster_above);
    EXPECT_NEAR(crossover.batch, 4, 0.3);
    EXPECT_LT(crossover.interval->low, crossover.batch);
    EXPECT_GT(crossover.interval->high, crossover.batch);
    EXPECT_GT(*crossover.probability, 0.95);
  }
}

TEST(TrafficMap, SaysOfEachBatchWhatHoldsItBack) {
  Measurements m = Exact();
  for (std::size_t k = 0; k < m.traffic.variant.size(); ++k) {
    if (m.traffic.variant[k] == kLate) m.traffic.decode_shares[k] = {0.3, 0.2};
    if (m.traffic.variant[k] == kFast) m.traffic.decode_shares[k] = {0, 0};
  }
  const auto ranking = RankBy(m, SpeedAlone({}));
  const std::vector<TrafficFigure>& figures = ranking->traffic->cells[0].variants;
  EXPECT_EQ(figures[kFp16].decode.bound, Bound::kMemory);
  EXPECT_EQ(figures[kFp16].prefill.bound, Bound::kCompute);
  EXPECT_NEAR(figures[kFp16].decode.share, 0.75, 1e-6);
  EXPECT_EQ(figures[kLate].decode.bound, Bound::kNeither);
  EXPECT_EQ(figures[kFast].decode.bound, Bound::kUnknown);
  EXPECT_FALSE(figures[kFp16].ratio);
  EXPECT_NEAR(*figures[kFast].ratio, BatchSeconds(kFp16, {1, 128, 64}) / BatchSeconds(kFast, {1, 128, 64}), 1e-6);
}

// Properties: names permuted, time scaled, a variant taken away.
TEST(TrafficMap, DoesNotDependOnTheOrderOrTheUnitOfTimeOrOnTheOthers) {
  const Measurements m = Job();
  const auto plain = RankBy(m, SpeedAlone({}))->traffic->crossovers;
  Measurements scaled = m;
  for (auto* column : {&scaled.traffic.latency_ns, &scaled.traffic.prefill_ns, &scaled.traffic.decode_ns}) {
    for (std::int64_t& ns : *column) ns *= 3;
  }
  Measurements alone = m;
  for (std::int32_t& v : alone.traffic.variant) v = v == kFast ? -1 : v;
  for (const Measurements& other : {scaled, alone}) {
    const auto crossovers = RankBy(other, SpeedAlone({}))->traffic->crossovers;
    ASSERT_EQ(crossovers.size(), plain.size());
    for (std::size_t k = 0; k < plain.size(); ++k) EXPECT_NEAR(crossovers[k].batch, plain[k].batch, 1e-6);
  }
}

TEST(Capacity, IsHowManySequencesTheDeviceHoldsBesideWeightsAndWorkspace) {
  Memory memory{.weights_bytes = 4'000, .kv_cache_bytes = 100, .workspace_bytes = 1'000};
  memory.kv_bytes_per_token = 10;
  memory.device_bytes = 10'000;
  const auto capacity = CapacityOf(memory, 100, 0);
  ASSERT_TRUE(capacity && capacity->sequences);
  EXPECT_EQ(*capacity->sequences, 5);
  EXPECT_EQ(capacity->free_bytes, 5'000);
  EXPECT_EQ(*CapacityOf(memory, 100, 25'999)->sequences, 20) << "of the deployment's device, whole ones alone";
  EXPECT_EQ(*CapacityOf(memory, 100, 4'500)->sequences, 0) << "the weights do not fit";
  EXPECT_FALSE(CapacityOf(memory, 0, 0)) << "nobody asked";
}

TEST(Capacity, SaysWhyItIsNotKnown) {
  EXPECT_THAT(CapacityOf(std::nullopt, 100, 1000)->reason, HasSubstr("no chunk of it was accepted"));
  Memory memory{.weights_bytes = 4'000};
  EXPECT_THAT(CapacityOf(memory, 100, 1000)->reason, HasSubstr("KV cache"));
  memory.kv_bytes_per_token = 10;
  EXPECT_THAT(CapacityOf(memory, 100, 0)->reason, HasSubstr("--device-memory"));
  EXPECT_FALSE(CapacityOf(memory, 100, 0)->sequences);
}

}  // namespace
}  // namespace uaqf::ranking
