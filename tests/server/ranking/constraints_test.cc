// Limits: kept surely, perhaps, or not.
#include "server/ranking/constraints.h"

#include <gmock/gmock.h>

#include <cmath>

#include "server/ranking/decision_data.h"
#include "server/ranking/measures.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::HasSubstr;

// fp16 takes 2 s a prompt and 1 s to the first token, a half of that, each give or take 10 %; 50 tokens. a loses 0.1
// nats, give or take 0.02. Weights of 4 and 1 GB.
Recorder Job(int prompts = 40, int windows = 20) {
  Recorder recorder({"fp16", "a"});
  recorder.measurements().variants[0].memory->weights_bytes = 4'000'000'000;
  recorder.measurements().variants[1].memory->weights_bytes = 1'000'000'000;
  for (int prompt = 0; prompt < prompts; ++prompt) {
    for (int run = 0; run < 2; ++run) {
      const double latency_s = 1.8 + 0.4 * ((prompt * 13 + run * 5) % 21) / 20;
      recorder.Timing(0, prompt, run, latency_s, 50).Timing(1, prompt, run, latency_s / 2, 50);
    }
  }
  for (int window = 0; window < windows; ++window) {
    recorder.Window(0, window, 3).Window(1, window, 3.08 + 0.04 * (window % 5) / 4);
  }
  return recorder;
}

Check CheckOf(Recorder recorder, Constraint constraint, int variant = 1, double price_per_hour = 0) {
  const auto measures = Measure(recorder.measurements());
  const DecisionData data = PrepareDecision(recorder.measurements());
  return CheckConstraints({constraint}, price_per_hour, data, static_cast<std::size_t>(variant), 0,
                          (*measures)[static_cast<std::size_t>(variant)])[0];
}

TEST(CheckConstraints, IsMetWhenTheIntervalIs) {
  const Check check = CheckOf(Job(), {LimitedFigure::kTtftMean, 0.6});
  EXPECT_EQ(check.verdict, Verdict::kMet);
  EXPECT_NEAR(*check.value, 0.5, 0.01);
  EXPECT_NEAR(*check.margin, 0.1, 0.01);
  EXPECT_LT(check.interval->high, 0.6);
  EXPECT_EQ(*check.probability_met, 1);
  EXPECT_EQ(check.reason, "");
}

TEST(CheckConstraints, IsUnsureWhenOnlyTheValueIs) {
  const Check met = CheckOf(Job(), {LimitedFigure::kNllLoss, 1});
  const double limit = (*met.value + met.interval->high) / 2;
  const Check check = CheckOf(Job(), {LimitedFigure::kNllLoss, limit});
  EXPECT_EQ(check.verdict, Verdict::kUnsure);
  EXPECT_GT(*check.probability_met, 0.5);
  EXPECT_LT(*check.probability_met, 0.975);
  EXPECT_THAT(check.reason, HasSubstr("but may be 0.1"));
  EXPECT_DOUBLE_EQ(*check.needed_limit, check.interval->high);
  EXPECT_EQ(CheckOf(Job(), {LimitedFigure::kNllLoss, *check.needed_limit}).verdict, Verdict::kMet);
}

TEST(CheckConstraints, IsNotMetAboveTheLimit) {
  const Check check = CheckOf(Job(), {LimitedFigure::kInterTokenMean, 0.001});
  EXPECT_EQ(check.verdict, Verdict::kNotMet);
  EXPECT_LT(*check.margin, 0);
  EXPECT_EQ(*check.probability_met, 0);
  EXPECT_THAT(check.reason, HasSubstr("above the limit of 0.001 s"));
}

TEST(CheckConstraints, DecidesPercentilesByOrderStatistics) {
  EXPECT_EQ(CheckOf(Job(59), {LimitedFigure::kLatencyP95, 1.2}).verdict, Verdict::kMet);
  EXPECT_EQ(CheckOf(Job(59), {LimitedFigure::kTtftP95, 0.4}).verdict, Verdict::kNotMet);
  EXPECT_EQ(CheckOf(Job(58), {LimitedFigure::kLatencyP95, 1.2}).verdict, Verdict::kUndecidable) << "116 records";
  const Check p99 = CheckOf(Job(), {LimitedFigure::kLatencyP99, 10});
  EXPECT_EQ(p99.verdict, Verdict::kUndecidable);
  EXPECT_EQ(p99.reason, "latency_p99: 40 prompts do not decide it, expected at least 299: measure more prompts");
  EXPECT_FALSE(p99.needed_limit);
  EXPECT_EQ(CheckOf(Job(299), {LimitedFigure::kLatencyP99, 10}).verdict, Verdict::kMet);
}

TEST(CheckConstraints, KnowsMemoryAndPriceExactlyEnough) {
  EXPECT_EQ(CheckOf(Job(), {LimitedFigure::kMemory, 1e9}).verdict, Verdict::kMet);
  EXPECT_EQ(CheckOf(Job(), {LimitedFigure::kMemory, 1e9 - 1}).verdict, Verdict::kNotMet);
  // 1 s for 50 tokens at 3.6 an hour: 0.001 a second, 20 a million.
  EXPECT_NEAR(*CheckOf(Job(), {LimitedFigure::kPricePerMillion, 30}, 1, 3.6).value, 20, 0.2);
  EXPECT_NEAR(*CheckOf(Job(), {LimitedFigure::kPerplexityLoss, 30}).value, std::exp(3.1) - std::exp(3.0), 1e-6);
}

TEST(CheckConstraints, DoesNotDecideWhatWasNotMeasured) {
  EXPECT_EQ(CheckOf(Job(40, 0), {LimitedFigure::kNllLoss, 1}).verdict, Verdict::kUndecidable);
  EXPECT_EQ(CheckOf(Job(0), {LimitedFigure::kLatencyP50, 1}).verdict, Verdict::kUndecidable);
  EXPECT_EQ(CheckOf(Job(3), {LimitedFigure::kTtftMean, 1}).verdict, Verdict::kUndecidable);
}

TEST(Validate, RefusesLimitsThatAreNone) {
  EXPECT_THAT(std::string(Validate({{LimitedFigure::kMemory, -1}}, 0).message()), HasSubstr("memory is -1"));
  EXPECT_THAT(std::string(Validate({{LimitedFigure::kMemory, 1}, {LimitedFigure::kMemory, 2}}, 0).message()),
              HasSubstr("memory is limited twice"));
  EXPECT_THAT(std::string(Validate({{LimitedFigure::kPricePerMillion, 1}}, 0).message()), HasSubstr("price_per_hour"));
  EXPECT_TRUE(Validate({{LimitedFigure::kPricePerMillion, 1}}, 2).ok());
}

Ranking RankWith(const std::vector<Constraint>& constraints, Recorder recorder = Job()) {
  Profile profile = BuiltIn("balanced");
  profile.constraints = constraints;
  const auto measures = Measure(recorder.measurements());
  const DecisionData data = PrepareDecision(recorder.measurements());
  RankOptions options;
  options.data = &data;
  const auto ranking = Rank(*measures, profile, JobFacts{}, options);
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return ranking.ok() ? *ranking : Ranking{};
}

TEST(RankWithConstraints, LeavesOutWhoBreaksOne) {
  const Ranking ranking = RankWith({{LimitedFigure::kNllLoss, 0.01}});
  EXPECT_EQ(ranking.winner, "fp16");
  const RankedVariant& a = Find(ranking, "a");
  EXPECT_EQ(a.status, RankStatus::kNotFeasible);
  EXPECT_THAT(a.reason, HasSubstr("nll_loss is 0.1 nats/token, above the limit of 0.01"));
  ASSERT_EQ(Find(ranking, "fp16").checks.size(), 1U);
  EXPECT_FALSE(ranking.relaxation);
}

TEST(RankWithConstraints, SaysTheLeastRelaxationWhenNobodyIsFeasible) {
  const Ranking ranking = RankWith({{LimitedFigure::kLatencyP50, 0.5}, {LimitedFigure::kMemory, 5e8}});
  EXPECT_EQ(ranking.winner, "");
  EXPECT_EQ(ranking.variants[0].variant, "a") << "nearer to the limits";
  ASSERT_TRUE(ranking.relaxation);
  EXPECT_EQ(ranking.relaxation->variant, "a");
  ASSERT_EQ(ranking.relaxation->limits.size(), 2U);
  EXPECT_TRUE(AnyContains(ranking.warnings, "no variant is feasible: the least that helps a is to allow latency_p50"));
  EXPECT_EQ(RankWith(ranking.relaxation->limits).winner, "a") << "it does help";
}

// Situation: "a" is fast and has lost its wits; no limit that is allowed more brings it back.
TEST(RankWithConstraints, NamesNoRelaxationForWhatIsNotSane) {
  Recorder recorder({"fp16", "a", "b"});
  for (int prompt = 0; prompt < 60; ++prompt) {
    const double latency_s = 1.8 + 0.4 * (prompt * 13 % 21) / 20;
    for (int run = 0; run < 2; ++run) {
      recorder.Timing(0, prompt, run, latency_s, 50).Timing(1, prompt, run, latency_s / 4, 50);
      recorder.Timing(2, prompt, run, latency_s / 2, 50);
    }
  }
  for (int window = 0; window < 20; ++window) {
    recorder.Window(0, window, 3).Window(1, window, 5).Window(2, window, 3.1);
  }
  const Ranking ranking = RankWith({{LimitedFigure::kLatencyP95, 0.5}}, recorder);
  EXPECT_EQ(ranking.winner, "");
  ASSERT_TRUE(ranking.relaxation);
  EXPECT_EQ(ranking.relaxation->variant, "b");
  EXPECT_EQ(ranking.variants[0].variant, "b");
  EXPECT_EQ(RankWith(ranking.relaxation->limits, recorder).winner, "b") << "it does help";
}

// Situation: fp16's windows are broken, those of the other are not: what is lost against nothing is not known.
TEST(CheckConstraints, KnowsNoLossAgainstABrokenFp16) {
  Recorder recorder = Job();
  for (double& nll : recorder.measurements().windows.nll_sum) nll = nll == 300 ? std::nan("") : nll;
  Measurements m = SetAsideWhatCannotBe(recorder.measurements());
  const auto measures = Measure(m);
  const DecisionData data = PrepareDecision(m);
  for (const LimitedFigure figure : {LimitedFigure::kNllLoss, LimitedFigure::kPerplexityLoss}) {
    EXPECT_EQ(CheckConstraints({{figure, 1}}, 0, data, 1, 0, (*measures)[1])[0].verdict, Verdict::kUndecidable);
  }
}

TEST(LimitText, IsKeptByWhatKeepsTheLimit) {
  EXPECT_EQ(LimitText(LimitedFigure::kMemory, 1346048), "1346048 bytes");
  EXPECT_EQ(LimitText(LimitedFigure::kLatencyP50, 0.00043971), "0.0004398 s");
  EXPECT_EQ(LimitText(LimitedFigure::kPerplexityLoss, 2), "2");
  EXPECT_EQ(LimitText(LimitedFigure::kNllLoss, 0), "0 nats/token");
}

TEST(CheckConstraints, ShowsValueAndLimitApart) {
  EXPECT_THAT(CheckOf(Job(), {LimitedFigure::kMemory, 1e9 - 1}).reason,
              HasSubstr("memory is 1000000000 bytes, above the limit of 999999999 bytes"));
}

TEST(RankWithConstraints, NeedsTheRecords) {
  Profile profile = BuiltIn("balanced");
  profile.constraints = {{LimitedFigure::kMemory, 1}};
  Recorder recorder = Job();
  EXPECT_EQ(Rank(*Measure(recorder.measurements()), profile, JobFacts{}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(RankWithConstraints, MarksWhoIsBeatenInEverything) {
  Recorder recorder({"fp16", "a", "b"});
  for (int prompt = 0; prompt < 10; ++prompt) {
    for (int run = 0; run < 2; ++run) {
      recorder.Timing(0, prompt, run, 2 + 0.01 * run, 50).Timing(1, prompt, run, 1 + 0.005 * run, 50);
      recorder.Timing(2, prompt, run, 3 + 0.03 * run, 50);
    }
  }
  for (int window = 0; window < 6; ++window) {
    recorder.Window(0, window, 3).Window(1, window, 3.1).Window(2, window, 3.2);
  }
  const Ranking ranking = RankWith({}, recorder);
  EXPECT_EQ(Find(ranking, "fp16").dominated_by, "");
  EXPECT_EQ(Find(ranking, "a").dominated_by, "");
  EXPECT_NE(Find(ranking, "b").dominated_by, "");
}

}  // namespace
}  // namespace uaqf::ranking
