// How sure a ranking is, and what must hold of that for any measurements.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "server/ranking/decision_data.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

struct Job {
  std::vector<std::string> names = {"fp16", "a", "b", "c"};
  int prompts = 20;
  int windows = 12;
  int runs = 3;
  double time_scale = 1;
  unsigned seed = 1;
};

// Prompts that differ tenfold, variants that differ by tens of percent, runs by 5 %. What a variant measures depends on
// its name only, not on its place.
Measurements Record(const Job& job) {
  Recorder recorder(job.names);
  for (std::size_t v = 0; v < job.names.size(); ++v) {
    const std::string name = job.names[v].substr(0, job.names[v].find('\''));  // a' is a again
    std::mt19937_64 engine(job.seed * 1000 + std::hash<std::string>()(name) % 1000);
    std::uniform_real_distribution<double> noise(0.95, 1.05), loss(0, 0.1);
    const double speed = name == "fp16" ? 1 : 1.1 + 0.1 * (name[0] - 'a');
    for (int prompt = 0; prompt < job.prompts; ++prompt) {
      for (int run = 0; run < job.runs; ++run) {
        const double latency_s = job.time_scale * (1 + prompt % 10) * noise(engine) / speed;
        recorder.Timing(static_cast<int>(v), prompt, run, latency_s, 100);
      }
    }
    for (int window = 0; window < job.windows; ++window) {
      recorder.Window(static_cast<int>(v), window, 3 + 0.2 * (window % 4) + (name == "fp16" ? 0 : loss(engine)));
    }
  }
  return std::move(recorder.measurements());
}

Ranking RankOf(const Measurements& measurements, const Profile& profile = BuiltIn("balanced")) {
  const auto measures = Measure(measurements);
  EXPECT_TRUE(measures.ok()) << measures.status();
  const DecisionData data = PrepareDecision(measurements);
  RankOptions options;
  options.data = &data;
  const auto ranking = Rank(*measures, profile, JobFacts{}, options);
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return ranking.ok() ? *ranking : Ranking{};
}

void ExpectSameStanding(const RankedVariant& a, const RankedVariant& b) {
  ASSERT_TRUE(a.standing && b.standing) << a.variant;
  EXPECT_NEAR(a.standing->utility.low, b.standing->utility.low, 1e-9) << a.variant;
  EXPECT_NEAR(a.standing->utility.high, b.standing->utility.high, 1e-9) << a.variant;
  EXPECT_NEAR(a.standing->probability_best, b.standing->probability_best, 1e-9) << a.variant;
  EXPECT_EQ(a.standing->rank_low, b.standing->rank_low) << a.variant;
  EXPECT_EQ(a.standing->rank_high, b.standing->rank_high) << a.variant;
  EXPECT_EQ(a.standing->tied, b.standing->tied) << a.variant;
}

class EveryProfile : public testing::TestWithParam<const char*> {
 protected:
  const Profile& profile() const { return BuiltIn(GetParam()); }
};

TEST_P(EveryProfile, HasIntervalsRoundWhatWasMeasured) {
  const Ranking ranking = RankOf(Record({}), profile());
  EXPECT_EQ(ranking.resamples, kResamples);
  double wins = 0;
  for (const RankedVariant& v : ranking.variants) {
    ASSERT_TRUE(v.standing) << v.variant;
    EXPECT_LE(v.standing->utility.low, *v.utility + 1e-12);
    EXPECT_GE(v.standing->utility.high, *v.utility - 1e-12);
    EXPECT_LE(v.standing->rank_low, v.rank);
    EXPECT_GE(v.standing->rank_high, v.rank);
    EXPECT_GE(v.standing->expected_regret, 0);
    wins += v.standing->probability_best;
    for (const Term& term : v.terms) {
      EXPECT_LE(term.interval->low, term.normalized + 1e-9) << v.variant << " " << term.name;
      EXPECT_GE(term.interval->high, term.normalized - 1e-9) << v.variant << " " << term.name;
    }
  }
  EXPECT_NEAR(wins, 1, 1e-9);
}

TEST_P(EveryProfile, DoesNotDependOnTheOrderOfVariants) {
  const Ranking ranking = RankOf(Record({}), profile());
  const Ranking turned = RankOf(Record({.names = {"c", "fp16", "b", "a"}}), profile());
  EXPECT_EQ(ranking.winner, turned.winner);
  for (const RankedVariant& v : ranking.variants) ExpectSameStanding(v, Find(turned, v.variant));
}

TEST_P(EveryProfile, DoesNotDependOnTheUnitOfTime) {
  const Ranking ranking = RankOf(Record({}), profile()), slower = RankOf(Record({.time_scale = 60}), profile());
  for (const RankedVariant& v : ranking.variants) {
    const RankedVariant& other = Find(slower, v.variant);
    EXPECT_NEAR(v.standing->probability_best, other.standing->probability_best, 2e-3) << v.variant;
    EXPECT_NEAR(v.standing->utility.low, other.standing->utility.low, 1e-6) << v.variant;
  }
}

TEST_P(EveryProfile, GivesATwinTheSameStandingAndHalfTheWins) {
  const Ranking alone = RankOf(Record({}), profile());
  const Ranking ranking = RankOf(Record({.names = {"fp16", "a", "b", "c", "c'"}}), profile());
  const Standing &c = *Find(ranking, "c").standing, &twin = *Find(ranking, "c'").standing;
  EXPECT_DOUBLE_EQ(c.probability_best, twin.probability_best);
  EXPECT_NEAR(c.probability_best, Find(alone, "c").standing->probability_best / 2, 1e-9);
  EXPECT_EQ(c.utility.low, twin.utility.low);
  EXPECT_EQ(c.tied, twin.tied);
}

INSTANTIATE_TEST_SUITE_P(BuiltIn, EveryProfile,
                         testing::Values("balanced", "latency", "quality", "memory", "paper-utility",
                                         "latency-critical", "accuracy-critical"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Certainty, OfOneVariantDoesNotHangOnAnother) {
  const Ranking ranking = RankOf(Record({}));
  const Ranking without = RankOf(Record({.names = {"fp16", "a", "c"}}));
  for (const char* name : {"a", "c"}) {
    EXPECT_EQ(Find(ranking, name).standing->utility.low, Find(without, name).standing->utility.low);
    EXPECT_EQ(Find(ranking, name).speedup->interval.high, Find(without, name).speedup->interval.high);
  }
}

TEST(Certainty, GrowsWithPromptsAndWindows) {
  const Ranking few = RankOf(Record({.prompts = 10, .windows = 8}));
  const Ranking many = RankOf(Record({.prompts = 160, .windows = 128}));
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_LT(2 * Find(many, name).standing->utility.width(), Find(few, name).standing->utility.width());
    EXPECT_LT(2 * Find(many, name).speedup->smallest_detectable, Find(few, name).speedup->smallest_detectable);
  }
}

TEST(Certainty, ComparesWithFp16OnTheSamePrompts) {
  const Ranking ranking = RankOf(Record({}));
  const RankedVariant& c = Find(ranking, "c");
  ASSERT_TRUE(c.speedup && c.nll_loss);
  EXPECT_NEAR(c.speedup->value, 1.3, 0.02);
  EXPECT_LT(10 * c.speedup->interval.width(), c.speedup->unpaired.width()) << "prompts differ tenfold";
  EXPECT_LT(c.nll_loss->interval.width(), c.nll_loss->unpaired.width());
  EXPECT_FALSE(Find(ranking, "fp16").speedup);
}

TEST(Certainty, IsNotMadeUpFromFourPrompts) {
  const Ranking ranking = RankOf(Record({.prompts = 4}));
  EXPECT_EQ(ranking.resamples, 0);
  EXPECT_FALSE(ranking.variants[0].standing);
  EXPECT_TRUE(AnyContains(ranking.warnings, "cannot be told: 4 prompts, expected at least 5"));
  EXPECT_EQ(ranking.winner, ranking.variants[0].variant) << "the ranking itself stands";
  EXPECT_TRUE(AnyContains(RankOf(Record({.windows = 3})).warnings, "3 windows"));
}

TEST(Certainty, NeedsNoRunsThatTheProfileDoesNotWeigh) {
  Profile profile = BuiltIn("balanced");
  profile.weights = {.speed = 0.5, .quality = 0.5};
  EXPECT_EQ(RankOf(Record({.runs = 1}), profile).resamples, kResamples);
}

// Variants that fail a constraint are no rivals, but keep their comparison with fp16.
TEST(Certainty, IsAmongTheFeasibleOnly) {
  Measurements measurements = Record({});
  WindowColumns& w = measurements.windows;
  for (std::size_t k = 0; k < w.variant.size(); ++k) {
    if (w.variant[k] == 3) w.nll_sum[k] += 0.5 * w.scored_tokens[k];
  }
  const Ranking ranking = RankOf(measurements);
  const RankedVariant& c = Find(ranking, "c");
  EXPECT_EQ(c.status, RankStatus::kNotFeasible);
  EXPECT_FALSE(c.standing);
  EXPECT_TRUE(c.nll_loss && c.speedup);
  double wins = 0;
  for (const char* name : {"fp16", "a", "b"}) {
    wins += Find(ranking, name).standing->probability_best;
    EXPECT_LE(Find(ranking, name).standing->rank_high, 3);
  }
  EXPECT_NEAR(wins, 1, 1e-9);
}

TEST(Certainty, SweepsEveryWeightThroughTheWinner) {
  const Ranking ranking = RankOf(Record({}));
  ASSERT_EQ(ranking.sweeps.size(), 4U) << "memory has no weight, but was measured";
  for (const WeightSweep& sweep : ranking.sweeps) {
    const auto at = std::find_if(sweep.segments.begin(), sweep.segments.end(), [&](const SweepSegment& s) {
      return s.from <= sweep.weight && sweep.weight <= s.to && s.winner == ranking.winner;
    });
    EXPECT_NE(at, sweep.segments.end()) << sweep.term;
  }
}

}  // namespace
}  // namespace uaqf::ranking
