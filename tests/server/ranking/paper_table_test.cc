// The paper's Table 7, LLaMA-2-7B, without its row "Proposed UAQF" (which is a choice among the others).
#include <gmock/gmock.h>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using ::testing::ElementsAre;

// Only perplexity, throughput and memory are published: no stability, no likelihoods.
std::vector<VariantMeasures> TableSeven() {
  struct Line {
    const char* name;
    double latency_s, tokens_per_s, delta_perplexity, gigabytes;
  };
  const Line lines[] = {{"fp16", 1.280, 38.2, 0.00, 13.5},       {"rtn-w8", 1.015, 46.7, 0.42, 8.2},
                        {"rtn-w4", 0.790, 61.5, 1.12, 5.1},      {"gptq-w4", 0.812, 59.8, 0.68, 5.0},
                        {"awq-w4", 0.835, 57.6, 0.54, 5.2},      {"zeroquant-w8a8", 0.980, 48.9, 0.39, 8.4},
                        {"smoothquant", 0.940, 51.2, 0.31, 8.3}, {"atom-w4a4", 0.768, 63.1, 0.49, 4.9}};
  std::vector<VariantMeasures> measures;
  for (const Line& line : lines) {
    VariantMeasures m;
    m.variant = line.name;
    m.timing_records = 200;
    m.repeats = 1;
    m.windows = 166;
    m.latency_s = Estimate{line.latency_s, std::nullopt};
    m.tokens_per_s = Estimate{line.tokens_per_s, std::nullopt};
    m.delta_perplexity = line.delta_perplexity;
    m.memory_bytes = static_cast<std::int64_t>(line.gigabytes * 1e9);
    measures.push_back(m);
  }
  return measures;
}

Ranking Under(const char* profile) {
  const auto ranking = Rank(TableSeven(), BuiltIn(profile), JobFacts{});
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return ranking.ok() ? *ranking : Ranking{};
}

// By hand: S~ = (T - 38.2) / 24.9, QL~ = dPPL / 1.12, M~ = (13.5 - GB) / 8.6.
TEST(PaperTable, GivesTheUtilitiesWorkedOutByHand) {
  const Ranking latency = Under("latency-critical");
  EXPECT_NEAR(*Find(latency, "atom-w4a4").utility, 0.6 - 0.2 * 0.4375 + 0.2, 1e-9);
  EXPECT_NEAR(*Find(latency, "gptq-w4").utility, 0.59673, 5e-6);
  EXPECT_NEAR(*Find(latency, "rtn-w4").utility, 0.55679, 5e-6);
  EXPECT_NEAR(*Find(latency, "fp16").utility, 0, 1e-9);
  const Ranking accuracy = Under("accuracy-critical");
  EXPECT_NEAR(*Find(accuracy, "atom-w4a4").utility, 0.2 - 0.6 * 0.4375 + 0.2, 1e-9);
  EXPECT_NEAR(*Find(accuracy, "awq-w4").utility, 0.05956, 5e-6);
  EXPECT_NEAR(*Find(accuracy, "smoothquant").utility, 0.05928, 5e-6);
}

// Atom leads every column but quality, so it wins all three; the paper's own row would have won it by definition.
TEST(PaperTable, HasTheSameWinnerInAllThreeRegimes) {
  for (const char* regime : {"latency-critical", "accuracy-critical", "memory-constrained"}) {
    EXPECT_EQ(Under(regime).winner, "atom-w4a4") << regime;
  }
}

TEST(PaperTable, PutsTheRestInDifferentOrders) {
  const auto top = [](const Ranking& ranking) {
    return std::vector<std::string>{ranking.variants[1].variant, ranking.variants[2].variant,
                                    ranking.variants[7].variant};
  };
  EXPECT_THAT(top(Under("latency-critical")), ElementsAre("gptq-w4", "awq-w4", "fp16"));
  EXPECT_THAT(top(Under("accuracy-critical")), ElementsAre("awq-w4", "smoothquant", "rtn-w4"));
  EXPECT_THAT(top(Under("memory-constrained")), ElementsAre("gptq-w4", "awq-w4", "fp16"));
}

TEST(PaperTable, CannotDecideTheUtilityThatWeighsStability) {
  EXPECT_EQ(Rank(TableSeven(), BuiltIn("paper-utility"), JobFacts{}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace uaqf::ranking
