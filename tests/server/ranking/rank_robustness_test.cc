// Whatever was measured, or was not: an answer of finite numbers, or an error that says what to do.
#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  bool Once(int in) { return engine_() % static_cast<unsigned>(in) == 0; }
  int Below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  double Between(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine_); }

 private:
  std::mt19937 engine_;
};

// A job with what goes wrong in jobs: few prompts, one run, no text, missing or collapsed variants, no tokens, equal
// times, times that differ a thousandfold.
Measurements OddJob(Random& random) {
  std::vector<std::string> names = {"fp16", "a", "b", "c"};
  if (random.Once(10)) names.erase(names.begin());
  if (random.Once(10)) names.resize(1);
  Recorder recorder(names);
  const int prompts = random.Once(3) ? random.Below(7) : 5 + random.Below(20);
  const int runs = 1 + random.Below(3), windows = random.Once(3) ? random.Below(6) : 8;
  const bool equal = random.Once(5), wild = random.Once(5);
  for (int v = 0; v < static_cast<int>(names.size()); ++v) {
    if (random.Once(8)) continue;
    const bool silent = random.Once(10), collapsed = random.Once(8), partial = random.Once(8);
    for (int prompt = 0; prompt < prompts; ++prompt) {
      if (partial && random.Once(2)) continue;
      for (int run = 0; run < runs; ++run) {
        const double latency_s = equal ? 1 : wild ? std::exp(random.Between(-4, 4)) : random.Between(1, 1.2);
        recorder.Timing(v, prompt, run, latency_s, silent ? 0 : 1 + random.Below(3));
      }
    }
    for (int window = 0; window < windows; ++window) {
      recorder.Window(v, window, collapsed ? (random.Once(2) ? NAN : 900) : equal ? 3 : random.Between(2.9, 3.1));
    }
    if (random.Once(6)) recorder.measurements().variants[v].memory.reset();
  }
  return std::move(recorder.measurements());
}

void ExpectFinite(const Interval& interval, const std::string& what) {
  EXPECT_TRUE(std::isfinite(interval.low) && std::isfinite(interval.high)) << what;
  EXPECT_LE(interval.low, interval.high) << what;
}

void ExpectSound(const RankedVariant& v) {
  EXPECT_TRUE(std::isfinite(v.utility.value_or(0))) << v.variant;
  EXPECT_EQ(v.status == RankStatus::kRanked, v.utility.has_value()) << v.variant;
  EXPECT_EQ(v.status == RankStatus::kRanked, v.reason.empty()) << v.variant;
  for (const Term& term : v.terms) {
    EXPECT_TRUE(std::isfinite(term.normalized)) << v.variant << " " << term.name;
    if (term.interval) ExpectFinite(*term.interval, v.variant + " " + term.name);
  }
  for (const auto* comparison : {&v.speedup, &v.nll_loss}) {
    if (!*comparison) continue;
    ExpectFinite((*comparison)->interval, v.variant);
    ExpectFinite((*comparison)->unpaired, v.variant);
    EXPECT_GE((*comparison)->smallest_detectable, 0) << v.variant;
  }
  for (const Check& check : v.checks) {
    if (check.probability_met) {
      EXPECT_GE(*check.probability_met, 0);
      EXPECT_LE(*check.probability_met, 1);
    }
    EXPECT_EQ(check.verdict == Verdict::kMet, check.reason.empty()) << v.variant << ": " << check.reason;
  }
  if (!v.standing) return;
  ExpectFinite(v.standing->utility, v.variant);
  ExpectFinite(v.standing->behind, v.variant);
  EXPECT_GE(v.standing->expected_regret, 0) << v.variant;
  EXPECT_LE(v.standing->rank_low, v.standing->rank_high) << v.variant;
}

void ExpectSound(const Ranking& ranking) {
  double wins = 0;
  bool any = false;
  for (const RankedVariant& v : ranking.variants) {
    ExpectSound(v);
    if (!v.standing) continue;
    any = true;
    wins += v.standing->probability_best;
  }
  EXPECT_NEAR(wins, any ? 1 : 0, 1e-9);
  EXPECT_EQ(ranking.winner.empty(), ranking.variants[0].status != RankStatus::kRanked);
  for (const WeightSweep& sweep : ranking.sweeps) {
    for (const SweepSegment& segment : sweep.segments) EXPECT_LT(segment.from, segment.to);
  }
}

TEST(Rank, IsSoundForOddJobs) {
  int ranked = 0, refused = 0, unsure = 0;
  for (unsigned seed = 0; seed < 1500; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const auto common = KeepCommonRecords(SetAsideWhatCannotBe(OddJob(random)));
    ASSERT_TRUE(common.ok()) << common.status();
    const auto measures = Measure(common->measurements);
    ASSERT_TRUE(measures.ok()) << measures.status();
    const DecisionData data = PrepareDecision(common->measurements, {.resamples = 100});
    Profile profile =
        BuiltInProfiles()[static_cast<std::size_t>(random.Below(static_cast<int>(BuiltInProfiles().size())))];
    if (random.Once(2)) {
      profile.constraints = {{LimitedFigure::kLatencyP95, random.Between(0, 3)},
                             {LimitedFigure::kNllLoss, random.Between(0, 0.1)},
                             {LimitedFigure::kMemory, random.Between(0, 2000)}};
    }
    RankOptions options;
    options.data = &data;
    const auto ranking = Rank(*measures, profile, JobFacts{}, options);
    if (!ranking.ok()) {
      EXPECT_EQ(ranking.status().code(), absl::StatusCode::kFailedPrecondition) << ranking.status();
      EXPECT_THAT(std::string(ranking.status().message()), testing::StartsWith("not decidable: "));
      ++refused;
      continue;
    }
    ++ranked;
    unsure += ranking->resamples == 0 ? 1 : 0;
    ExpectSound(*ranking);
  }
  EXPECT_GT(ranked, 300);
  EXPECT_GT(refused, 100);
  EXPECT_GT(unsure, 50);
}

}  // namespace
}  // namespace uaqf::ranking
