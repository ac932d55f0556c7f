#include "server/ranking/rank.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr double kEps = 1e-12;

Ranking Ranked(const std::vector<VariantMeasures>& measures, const Profile& profile, const RankOptions& options = {}) {
  const auto ranking = Rank(measures, profile, JobFacts{.job = "jobs/1", .repeats = 3}, options);
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return ranking.ok() ? *ranking : Ranking{};
}

std::string Undecidable(const std::vector<VariantMeasures>& measures, const Profile& profile) {
  const auto ranking = Rank(measures, profile, JobFacts{});
  EXPECT_EQ(ranking.status().code(), absl::StatusCode::kFailedPrecondition);
  return std::string(ranking.status().message());
}

std::vector<std::string> Order(const Ranking& ranking) {
  std::vector<std::string> names;
  for (const RankedVariant& variant : ranking.variants) names.push_back(variant.variant);
  return names;
}

const Term& TermOf(const RankedVariant& variant, const std::string& name) {
  for (const Term& term : variant.terms) {
    if (term.name == name) return term;
  }
  ADD_FAILURE() << variant.variant << " has no term " << name;
  static const Term none;
  return none;
}

// fp16, one that is twice as fast, and one that is four times as fast and worse.
std::vector<VariantMeasures> Three() {
  return MeasuresOf({{"fp16", 10, 0, 0, 0.02, 1000}, {"a", 20, 1, 0.05, 0.03, 500}, {"b", 40, 4, 0.2, 0.06, 250}});
}

TEST(Rank, ComputesTheBaselineUtilityByHand) {
  const Ranking ranking = Ranked(Three(), BuiltIn("latency"));
  // a: 0.6 log2(2) - 0.2 * 0.05 / 0.1 - 0.1 * 0.01 / 0.05 + 0.1 * 0.5.
  EXPECT_NEAR(*Find(ranking, "a").utility, 0.6 - 0.1 - 0.02 + 0.05, kEps);
  // b: 0.6 * 2 - 0.2 * 2 - 0.1 * 0.8 + 0.1 * 0.75.
  EXPECT_NEAR(*Find(ranking, "b").utility, 1.2 - 0.4 - 0.08 + 0.075, kEps);
  EXPECT_EQ(*Find(ranking, "fp16").utility, 0);
  EXPECT_THAT(Order(ranking), ElementsAre("b", "a", "fp16"));
  EXPECT_EQ(ranking.winner, "b");
  EXPECT_EQ(ranking.variants[0].rank, 1);
  EXPECT_EQ(ranking.variants[2].rank, 3);
  EXPECT_EQ(ranking.records_used, 30);
}

TEST(Rank, ComputesTheLiteralUtilityByHand) {
  const Ranking ranking = Ranked(Three(), BuiltIn("paper-utility"));
  // a: S~ = 10 / 30, QL~ = 1 / 4, SP~ = 0.01 / 0.04, each weighing a third.
  EXPECT_NEAR(*Find(ranking, "a").utility, (1.0 / 3 - 0.25 - 0.25) / 3, kEps);
  EXPECT_NEAR(*Find(ranking, "b").utility, (1.0 - 1 - 1) / 3, kEps);
  EXPECT_EQ(*Find(ranking, "fp16").utility, 0);
  EXPECT_EQ(ranking.winner, "fp16");
  EXPECT_EQ(TermOf(Find(ranking, "a"), "quality").unit, "perplexity");
  EXPECT_EQ(TermOf(Find(ranking, "a"), "quality").raw, 1);
}

TEST(Rank, ShowsEachTermAndTheTermsMakeTheUtility) {
  const Ranking ranking = Ranked(Three(), BuiltIn("memory"));
  for (const RankedVariant& variant : ranking.variants) {
    ASSERT_EQ(variant.terms.size(), 4u);
    double sum = 0;
    for (const Term& term : variant.terms) sum += term.contribution;
    EXPECT_NEAR(sum, *variant.utility, kEps);
  }
  const Term& memory = TermOf(Find(ranking, "b"), "memory");
  EXPECT_EQ(memory.raw, 250);
  EXPECT_EQ(memory.unit, "bytes");
  EXPECT_EQ(memory.normalized, 0.75);
  EXPECT_EQ(memory.contribution, 0.375);
  const Term& quality = TermOf(Find(ranking, "b"), "quality");
  EXPECT_EQ(quality.unit, "nats/token");
  EXPECT_NEAR(quality.contribution, -0.4, kEps);
  // A cost of nothing is 0, not -0.
  EXPECT_FALSE(std::signbit(TermOf(Find(ranking, "fp16"), "quality").contribution));
}

TEST(Rank, LeavesTermsWithoutWeightOut) {
  const Ranking ranking = Ranked(Three(), BuiltIn("balanced"));
  EXPECT_THAT(ranking.variants[0].terms, testing::SizeIs(3));
  EXPECT_THAT(ranking.formula, Not(HasSubstr("M~")));
}

TEST(Rank, AddsSecondsAndTokensPerSecondInTheCombinedForm) {
  Profile profile = BuiltIn("paper-utility");
  profile.stability_form = StabilityForm::kCombined;
  profile.stability_alpha = 2;
  profile.stability_beta = 0.5;
  const auto measures = Three();
  const Ranking ranking = Ranked(measures, profile);
  const double expected = 2 * *measures[1].latency_deviation_s + 0.5 * *measures[1].throughput_deviation;
  EXPECT_NEAR(TermOf(Find(ranking, "a"), "stability").raw, expected, kEps);
  EXPECT_THAT(ranking.formula, HasSubstr("2 S_L + 0.5 S_T"));
}

TEST(Rank, GivesNothingForATermWithoutSpread) {
  auto measures = Three();
  for (auto& m : measures) m.relative_stability = 0.02;
  const Ranking ranking = Ranked(measures, BuiltIn("paper-utility"));
  for (const RankedVariant& variant : ranking.variants) EXPECT_EQ(TermOf(variant, "stability").normalized, 0);
}

TEST(Rank, PrintsTheFormulaItUsed) {
  EXPECT_EQ(Ranked(Three(), BuiltIn("latency")).formula,
            "U = 0.6 S~ - 0.2 Q~ - 0.1 P~ + 0.1 M~; S~ = log2(T / 10 tokens/s); Q~ = (NLL - NLL_fp16) / 0.1; "
            "P~ = (S_L / L - 0.02) / 0.05; M~ = 1 - m / 1000 bytes; feasible when NLL - NLL_fp16 <= 0.3 nats/token");
  EXPECT_EQ(Ranked(Three(), BuiltIn("accuracy-critical")).formula,
            "U = 0.2 S~ - 0.6 QL~ + 0.2 M~; S~ = T / T_fp16, min-max over 3 variants (T from 10 to 40 tokens/s); "
            "QL~ = PPL - PPL_fp16, min-max over 3 variants (from 0 to 4); "
            "M~ = 1 - m / m_fp16, min-max over 3 variants (m from 250 to 1000 bytes)");
}

TEST(Rank, RefusesAVariantThatFailsTheSanityConstraint) {
  auto measures = Three();
  measures[2].delta_nll = Estimate{0.873, 0.01};
  const Ranking ranking = Ranked(measures, BuiltIn("latency"));
  const RankedVariant& b = Find(ranking, "b");
  EXPECT_EQ(b.status, RankStatus::kNotFeasible);
  EXPECT_EQ(b.rank, 0);
  EXPECT_FALSE(b.utility.has_value());
  EXPECT_EQ(b.reason, "loses 0.873 nats/token against fp16, 0.573 above the limit of 0.3");
  EXPECT_EQ(ranking.winner, "a");
  EXPECT_EQ(Order(ranking).back(), "b");

  const Ranking ignored = Ranked(measures, BuiltIn("latency"), {.ignore_sanity = true});
  EXPECT_EQ(Find(ignored, "b").status, RankStatus::kRanked);
  EXPECT_TRUE(AnyContains(ignored.warnings, "b is ranked although it loses 0.873"));
}

TEST(Rank, PassesAVariantThatLosesExactlyTheLimitAndSaysWhenThatIsNotSure) {
  auto measures = Three();
  measures[2].delta_nll = Estimate{0.3, 0.02};
  const Ranking ranking = Ranked(measures, BuiltIn("latency"));
  EXPECT_EQ(Find(ranking, "b").status, RankStatus::kRanked);
  EXPECT_TRUE(AnyContains(ranking.warnings, "b loses 0.300 +- 0.020 nats/token"));
}

TEST(Rank, LeavesAVariantWithoutQualityUnrankedWhereQualityWeighs) {
  auto measures = Three();
  measures[1].delta_nll.reset();
  measures[1].delta_perplexity.reset();
  measures[1].windows = 0;
  const Ranking ranking = Ranked(measures, BuiltIn("quality"));
  const RankedVariant& a = Find(ranking, "a");
  EXPECT_EQ(a.status, RankStatus::kNotMeasured);
  EXPECT_THAT(a.reason, AllOf(HasSubstr("quality: no quality records"), HasSubstr("--quality-text")));
  EXPECT_FALSE(a.utility.has_value());
  EXPECT_THAT(a.terms, IsEmpty());
  EXPECT_EQ(ranking.records_used, 20);

  Profile speed;
  speed.weights.speed = 1;
  EXPECT_EQ(Find(Ranked(measures, speed), "a").status, RankStatus::kRanked);
  // The constraint asks for quality too.
  speed.max_delta_nll = 0.3;
  EXPECT_THAT(Find(Ranked(measures, speed), "a").reason, HasSubstr("quality records, which the sanity constraint needs"));
}

TEST(Rank, LeavesUnmeasuredVariantsOutOfTheRange) {
  auto measures = Three();
  measures[2].delta_perplexity.reset();
  const Ranking ranking = Ranked(measures, BuiltIn("paper-utility"));
  EXPECT_EQ(TermOf(Find(ranking, "a"), "speed").normalized, 1);
}

TEST(Rank, KeepsInfeasibleVariantsInTheRange) {
  Profile profile = BuiltIn("latency-critical");
  profile.max_delta_nll = 0.1;
  const Ranking ranking = Ranked(Three(), profile);
  EXPECT_EQ(Find(ranking, "b").status, RankStatus::kNotFeasible);
  EXPECT_NEAR(TermOf(Find(ranking, "a"), "speed").normalized, 1.0 / 3, kEps);
}

TEST(Rank, IsNotDecidableWithOneRunWhereStabilityWeighs) {
  auto measures = Three();
  for (auto& m : measures) {
    m.repeats = 1;
    m.relative_stability.reset();
    m.latency_deviation_s.reset();
    m.throughput_deviation.reset();
  }
  EXPECT_THAT(Undecidable(measures, BuiltIn("balanced")),
              AllOf(HasSubstr("fp16"), HasSubstr("at least 2 runs"), HasSubstr("R = 1"), HasSubstr("--repeats 3")));
  const Ranking ranking = Ranked(measures, BuiltIn("latency-critical"));
  EXPECT_TRUE(AnyContains(ranking.warnings, "R = 1"));
}

TEST(Rank, IsNotDecidableWithoutWhatTheProfileWeighs) {
  auto no_baseline = Three();
  no_baseline.erase(no_baseline.begin());
  EXPECT_THAT(Undecidable(no_baseline, BuiltIn("balanced")), HasSubstr("the job has no fp16"));

  auto unmeasured_baseline = Three();
  unmeasured_baseline[0].delta_nll.reset();
  unmeasured_baseline[0].windows = 0;
  EXPECT_THAT(
      Undecidable(unmeasured_baseline, BuiltIn("balanced")),
      AllOf(HasSubstr("fp16, which every variant is compared with, lacks quality"), HasSubstr("--quality-text")));

  auto others = Three();
  for (auto v : {1, 2}) others[v].memory_bytes.reset();
  EXPECT_THAT(Undecidable(others, BuiltIn("memory")), AllOf(HasSubstr("no variant beside fp16 is measured"),
                                                            HasSubstr("a lacks memory"), HasSubstr("b lacks")));

  EXPECT_THAT(Undecidable({Three()[0]}, BuiltIn("balanced")), HasSubstr("fp16 alone"));
  EXPECT_THAT(Undecidable({}, BuiltIn("balanced")), HasSubstr("no fp16"));
}

TEST(Rank, PicksTheBaselineWhenNothingElseIsFeasible) {
  auto measures = Three();
  for (auto v : {1, 2}) measures[v].delta_nll = Estimate{2, std::nullopt};
  EXPECT_EQ(Ranked(measures, BuiltIn("latency")).winner, "fp16");
}

// Per-tensor 4 bit on a small model: its perplexity makes every other variant look lossless.
TEST(Rank, NamesACollapsedVariantThatMakesTheRange) {
  const auto measures = MeasuresOf({{"fp16", 10, 0, 0, 0.02, 1000},
                                    {"rtn-w8", 15, 2, 0.08, 0.02, 500},
                                    {"rtn-w4-g64", 30, 9, 0.25, 0.02, 280},
                                    {"rtn-w4", 31, 1e6, 11, 0.02, 270}});
  const Ranking literal = Ranked(measures, BuiltIn("latency-critical"));
  EXPECT_TRUE(AnyContains(literal.warnings, "rtn-w4 (1e+06 perplexity) alone makes more than 0.9 of the range"));
  EXPECT_FALSE(AnyContains(literal.warnings, "range of the speed term"));
  const Ranking ours = Ranked(measures, BuiltIn("latency"));
  EXPECT_FALSE(AnyContains(ours.warnings, "alone makes more"));
  EXPECT_EQ(Find(ours, "rtn-w4").status, RankStatus::kNotFeasible);
  EXPECT_EQ(ours.winner, "rtn-w4-g64");
}

TEST(Rank, SaysWhenTheOtherNormalizationWouldChooseAnother) {
  // Min-max: b wins by its whole range of speed. Against fp16 that range is 1 % of speed and costs 2 nats.
  const auto measures = MeasuresOf({{"fp16", 100, 0, 0, 0.02, 1000}, {"b", 101, 0.1, 2.0, 0.02, 1000}});
  const Ranking ranking = Ranked(measures, BuiltIn("latency-critical"));
  EXPECT_EQ(ranking.winner, "b");
  EXPECT_EQ(ranking.other_normalization_winner, "fp16");
  EXPECT_TRUE(AnyContains(ranking.warnings, "normalized against fp16 the winner would be fp16, not b"));
  EXPECT_EQ(Ranked(Three(), BuiltIn("latency")).other_normalization_winner, "");
}

TEST(Rank, OrdersEqualUtilitiesBaselineFirstThenByName) {
  const auto measures =
      MeasuresOf({{"z", 10, 0, 0, 0.02, 1000}, {"fp16", 10, 0, 0, 0.02, 1000}, {"c", 10, 0, 0, 0.02, 1000}});
  const Ranking ranking = Ranked(measures, BuiltIn("latency"));
  EXPECT_THAT(Order(ranking), ElementsAre("fp16", "c", "z"));
  EXPECT_TRUE(AnyContains(ranking.warnings, "c and z have the same utility"));
}

TEST(Rank, RefusesFiguresThatAreNotNumbers) {
  const double bad[] = {std::nan(""), std::numeric_limits<double>::infinity(), -1};
  for (const double value : bad) {
    auto measures = Three();
    measures[1].tokens_per_s = Estimate{value, std::nullopt};
    const auto ranking = Rank(measures, BuiltIn("latency"), JobFacts{});
    EXPECT_EQ(ranking.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(ranking.status().message()), HasSubstr("tokens_per_s of a is"));
  }
  auto measures = Three();
  measures[1].delta_nll->value = std::nan("");
  EXPECT_THAT(std::string(Rank(measures, BuiltIn("latency"), JobFacts{}).status().message()),
              HasSubstr("delta_nll of a is nan"));
  measures = Three();
  measures[2].memory_bytes = 0;
  EXPECT_THAT(std::string(Rank(measures, BuiltIn("latency"), JobFacts{}).status().message()),
              HasSubstr("memory_bytes of b is 0"));
  measures = Three();
  measures[2].variant = "a";
  EXPECT_THAT(std::string(Rank(measures, BuiltIn("latency"), JobFacts{}).status().message()), HasSubstr("there twice"));
}

TEST(Rank, RefusesAProfileThatIsNotValid) {
  Profile profile = BuiltIn("latency");
  profile.weights.speed = 0.7;
  EXPECT_EQ(Rank(Three(), profile, JobFacts{}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Rank, DoesNotTakeALogarithmOfNoSpeed) {
  auto measures = Three();
  measures[1].tokens_per_s->value = 0;
  EXPECT_THAT(Find(Ranked(measures, BuiltIn("latency")), "a").reason, HasSubstr("throughput is 0"));
  EXPECT_EQ(*Find(Ranked(measures, BuiltIn("latency-critical")), "a").utility < 0.6, true);
}

TEST(Rank, SaysWhatMakesTheAnswerLessThanItSeems) {
  auto measures = Three();
  measures[1].tainted_chunks = 1;
  measures[2].quarantined = 4;
  measures[2].failure = "an input of 6 tokens: expected more than 9";
  JobFacts job{.job = "jobs/7", .ended = false, .output_length = OutputLength::kNatural, .max_output_tokens = 32};
  job.baseline_release = "the Q4_1 release";
  const auto ranking = Rank(measures, BuiltIn("latency"), job, {.ignore_sanity = false, .notes = {"a note"}});
  ASSERT_TRUE(ranking.ok());
  EXPECT_EQ(ranking->job, "jobs/7");
  for (const char* part :
       {"a note", "has not ended", "natural", "relative to the Q4_1 release", "a: 1 chunk stayed tainted",
        "b: 4 records could not be measured: an input of 6 tokens: expected"}) {
    EXPECT_TRUE(AnyContains(ranking->warnings, part)) << part;
  }
  EXPECT_THAT(Ranked(Three(), BuiltIn("latency")).warnings, IsEmpty());
  measures[1].quality_problem = "collapsed";
  EXPECT_TRUE(AnyContains(Notes(measures, job), "a: collapsed"));
}

TEST(Rank, NamesTheConditions) {
  JobFacts job{.job = "jobs/1", .max_output_tokens = 32, .repeats = 3, .measures_quality = true, .context_tokens = 512};
  EXPECT_EQ(
      Rank(Three(), BuiltIn("latency"), job)->conditions,
      "output lengths matched to fp16's natural ones, at most 32 tokens; inputs as they are; batch 1, greedy, R = "
      "3; quality on disjoint windows of 512 tokens");
  job.output_length = OutputLength::kFixed;
  job.input_tokens = 512;
  job.measures_quality = false;
  EXPECT_EQ(Rank(Three(), BuiltIn("latency"), job)->conditions,
            "output lengths fixed at 32 tokens; inputs of 512 tokens; batch 1, greedy, R = 3; quality not measured");
}

}  // namespace
}  // namespace uaqf::ranking
