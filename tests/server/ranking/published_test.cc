// Published figures under the paper's formulas: the files of tests/data, and every figure worked out in the test.
#include "server/ranking/published.h"

#include <gmock/gmock.h>

#include "server/ranking/decision_data.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::HasSubstr;

// The paper's Table 7, LLaMA-2-7B: latency ms, tokens/s, change of perplexity, GB.
std::vector<PublishedFigures> TableSeven() {
  struct Line {
    const char* label;
    double latency_ms, tokens_per_s, delta_perplexity, gigabytes;
  };
  std::vector<PublishedFigures> figures;
  for (const Line& line : {Line{"fp16", 1280, 38.2, 0, 13.5}, Line{"RTN 8-bit", 1015, 46.7, 0.42, 8.2},
                           Line{"RTN 4-bit", 790, 61.5, 1.12, 5.1}, Line{"GPTQ 4-bit", 812, 59.8, 0.68, 5.0},
                           Line{"AWQ 4-bit", 835, 57.6, 0.54, 5.2}, Line{"ZeroQuant 8-bit", 980, 48.9, 0.39, 8.4},
                           Line{"SmoothQuant 8-bit", 940, 51.2, 0.31, 8.3}, Line{"Atom 4-bit", 768, 63.1, 0.49, 4.9}}) {
    figures.push_back({line.label, line.latency_ms / 1e3, line.tokens_per_s, line.delta_perplexity,
                       static_cast<std::int64_t>(line.gigabytes * 1e9)});
  }
  return figures;
}

JobFacts Facts() {
  JobFacts facts;
  facts.point_values = true;
  facts.table = "Table 7";
  facts.baseline_label = "FP16";
  return facts;
}

absl::StatusOr<Ranking> RankBy(const Profile& profile, const std::vector<PublishedFigures>& figures) {
  const std::vector<VariantMeasures> measures = MeasuresOf(figures);
  Measurements none;
  for (const VariantMeasures& m : measures) none.variants.push_back({.name = m.variant});
  const DecisionData data = PrepareDecision(none);
  RankOptions options;
  options.data = &data;
  return Rank(measures, profile, Facts(), options);
}

std::string Problem(const Profile& profile, const std::vector<PublishedFigures>& figures) {
  const auto ranking = RankBy(profile, figures);
  EXPECT_EQ(ranking.status().code(), absl::StatusCode::kFailedPrecondition);
  return std::string(ranking.status().message());
}

// U = a S~ - b QL~ + c M~, each term by its least and largest value in the table.
TEST(Published, IsRankedByTheFormulaOfThePaper) {
  for (const auto& [name, a, b, c] :
       {std::tuple("latency-critical", .6, .2, .2), std::tuple("accuracy-critical", .2, .6, .2),
        std::tuple("memory-constrained", .2, .2, .6)}) {
    const auto ranking = RankBy(BuiltIn(name), TableSeven());
    ASSERT_TRUE(ranking.ok()) << ranking.status();
    for (const PublishedFigures& f : TableSeven()) {
      const double speed = (*f.tokens_per_s - 38.2) / (63.1 - 38.2), loss = *f.delta_perplexity / 1.12;
      const double memory = (13.5 - static_cast<double>(*f.memory_bytes) / 1e9) / (13.5 - 4.9);
      EXPECT_NEAR(*Find(*ranking, f.variant).utility, a * speed - b * loss + c * memory, 1e-9)
          << name << " " << f.variant;
    }
    for (std::size_t k = 1; k < ranking->variants.size(); ++k) {
      EXPECT_GE(*ranking->variants[k - 1].utility, *ranking->variants[k].utility);
    }
  }
}

TEST(Published, HasAWinnerWorkedOutByHand) {
  const auto ranking = RankBy(BuiltIn("latency-critical"), TableSeven());
  ASSERT_TRUE(ranking.ok());
  EXPECT_EQ(ranking->winner, "Atom 4-bit");
  EXPECT_NEAR(*Find(*ranking, "Atom 4-bit").utility, 0.6 - 0.2 * 0.4375 + 0.2, 1e-9);
  EXPECT_NEAR(*Find(*ranking, "GPTQ 4-bit").utility, 0.59673, 5e-6);
}

TEST(Published, ClaimsNoCertainty) {
  const auto ranking = RankBy(BuiltIn("latency-critical"), TableSeven());
  ASSERT_TRUE(ranking.ok());
  EXPECT_TRUE(ranking->point_values);
  EXPECT_EQ(ranking->resamples, 0);
  EXPECT_TRUE(AnyContains(ranking->warnings, "neither a P(best) nor an interval"));
  EXPECT_THAT(ranking->conditions, HasSubstr("imported from Table 7, whose row FP16 is fp16"));
  for (const RankedVariant& variant : ranking->variants) {
    EXPECT_FALSE(variant.standing || variant.speedup || variant.nll_loss) << variant.variant;
    for (const Term& term : variant.terms) EXPECT_FALSE(term.interval);
  }
  EXPECT_FALSE(ranking->sweeps.empty()) << "at which weights another would win needs no uncertainty";
}

TEST(Published, HasNoUtilityWhereStabilityIsWeighed) {
  EXPECT_THAT(Problem(BuiltIn("paper-utility"), TableSeven()), HasSubstr("an imported table gives no runs"));
}

TEST(Published, HasNoUtilityWhereLikelihoodsAreWeighed) {
  EXPECT_THAT(Problem(BuiltIn("balanced"), TableSeven()), HasSubstr("no log-likelihoods"));
}

TEST(Published, LeavesOutAVariantWithoutAFigureThatIsWeighed) {
  std::vector<PublishedFigures> figures = TableSeven();
  figures[7].memory_bytes.reset();
  const auto ranking = RankBy(BuiltIn("latency-critical"), figures);
  ASSERT_TRUE(ranking.ok());
  EXPECT_EQ(Find(*ranking, "Atom 4-bit").status, RankStatus::kNotMeasured);
  EXPECT_THAT(Find(*ranking, "Atom 4-bit").reason, HasSubstr("the imported table gives no memory of it"));
  EXPECT_EQ(ranking->winner, "GPTQ 4-bit");
  figures[0].tokens_per_s.reset();
  EXPECT_THAT(Problem(BuiltIn("latency-critical"), figures), HasSubstr("gives no throughput of it"));
}

TEST(Published, KeepsALimitOnMemoryAndNoneOnWhatItLacks) {
  Profile profile = BuiltIn("latency-critical");
  profile.constraints = {{LimitedFigure::kMemory, 6e9}};
  auto ranking = RankBy(profile, TableSeven());
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  EXPECT_EQ(Find(*ranking, "fp16").status, RankStatus::kNotFeasible);
  EXPECT_EQ(ranking->winner, "Atom 4-bit");
  profile.constraints = {{LimitedFigure::kLatencyP50, 100}};
  ranking = RankBy(profile, TableSeven());
  ASSERT_TRUE(ranking.ok());
  EXPECT_EQ(ranking->winner, "") << "a mean of unknown spread surely keeps nothing";
}

TEST(Published, GivesSpeedupsAndNothingElse) {
  const std::vector<VariantMeasures> measures = MeasuresOf(TableSeven());
  EXPECT_DOUBLE_EQ(*measures[7].speedup, 63.1 / 38.2);
  EXPECT_FALSE(measures[7].latency_s->half_width);
  EXPECT_FALSE(measures[7].relative_stability || measures[7].delta_nll || measures[7].perplexity);
  EXPECT_EQ(measures[7].timing_records, 0);
}

}  // namespace
}  // namespace uaqf::ranking
