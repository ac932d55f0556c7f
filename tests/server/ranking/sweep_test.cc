// The winner over each weight, against trying them all.
#include "server/ranking/sweep.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"

namespace uaqf::ranking {
namespace {

// Utility of variant `v` when the weight of `swept` is w and the others keep their proportions.
double UtilityAt(const std::vector<SweptTerm>& terms, std::size_t swept, double w, std::size_t v) {
  double others = 0;
  for (std::size_t t = 0; t < terms.size(); ++t) others += t == swept ? 0 : terms[t].weight;
  double utility = w * terms[swept].values[v];
  for (std::size_t t = 0; t < terms.size(); ++t) {
    if (t == swept) continue;
    const double share = others > 0 ? terms[t].weight / others : 1.0 / static_cast<double>(terms.size() - 1);
    utility += (1 - w) * share * terms[t].values[v];
  }
  return utility;
}

std::string WinnerAt(const WeightSweep& sweep, double w) {
  for (const SweepSegment& segment : sweep.segments) {
    if (w <= segment.to) return segment.winner;
  }
  return "";
}

struct Case {
  std::vector<std::string> names;
  std::vector<SweptTerm> terms;
};

Case RandomCase(std::mt19937_64& engine) {
  std::uniform_real_distribution<double> value(-2, 2), weight(0, 1);
  const std::size_t variants = 1 + engine() % 12, terms = 2 + engine() % 4;
  Case out;
  for (std::size_t v = 0; v < variants; ++v) out.names.push_back(absl::StrCat("v", v));
  double sum = 0;
  for (std::size_t t = 0; t < terms; ++t) {
    SweptTerm& term = out.terms.emplace_back(SweptTerm{absl::StrCat("t", t), weight(engine), {}});
    if (engine() % 5 == 0) term.weight = 0;
    sum += term.weight;
    for (std::size_t v = 0; v < variants; ++v) term.values.push_back(value(engine));
  }
  if (sum == 0) out.terms[0].weight = sum = 1;
  for (SweptTerm& term : out.terms) term.weight /= sum;
  return out;
}

TEST(SweepWeights, FindsTheWinnerThatTryingEveryWeightFinds) {
  std::mt19937_64 engine(3);
  for (int trial = 0; trial < 300; ++trial) {
    const Case c = RandomCase(engine);
    const std::vector<WeightSweep> sweeps = SweepWeights(c.names, c.terms);
    ASSERT_EQ(sweeps.size(), c.terms.size());
    for (std::size_t t = 0; t < sweeps.size(); ++t) {
      EXPECT_EQ(sweeps[t].segments.front().from, 0);
      EXPECT_EQ(sweeps[t].segments.back().to, 1);
      for (int step = 0; step <= 1000; ++step) {
        const double w = step / 1000.0;
        double best = -1e9;
        for (std::size_t v = 0; v < c.names.size(); ++v) best = std::max(best, UtilityAt(c.terms, t, w, v));
        const std::size_t said = std::stoul(WinnerAt(sweeps[t], w).substr(1));
        EXPECT_NEAR(UtilityAt(c.terms, t, w, said), best, 1e-12) << "trial " << trial << " term " << t << " at " << w;
      }
    }
  }
}

TEST(SweepWeights, BreaksExactlyWhereTwoAreEqual) {
  std::mt19937_64 engine(4);
  for (int trial = 0; trial < 300; ++trial) {
    const Case c = RandomCase(engine);
    for (std::size_t t = 0; t < c.terms.size(); ++t) {
      const WeightSweep sweep = SweepWeights(c.names, c.terms)[t];
      for (std::size_t s = 1; s < sweep.segments.size(); ++s) {
        const SweepSegment &left = sweep.segments[s - 1], &right = sweep.segments[s];
        EXPECT_EQ(left.to, right.from);
        EXPECT_NE(left.winner, right.winner);
        EXPECT_LT(right.from, right.to);
        EXPECT_NEAR(UtilityAt(c.terms, t, left.to, std::stoul(left.winner.substr(1))),
                    UtilityAt(c.terms, t, left.to, std::stoul(right.winner.substr(1))), 1e-12);
      }
    }
  }
}

// Situation: lines that differ by rounding alone, which seem to cross far to the left of where the best begins.
TEST(SweepWeights, LeavesNoGapAndNoOverlapWhereLinesAreAllButEqual) {
  std::mt19937_64 engine(12);
  for (int trial = 0; trial < 20000; ++trial) {
    std::vector<SweptTerm> terms;
    for (int t = 0; t < 3; ++t) {
      terms.push_back({absl::StrCat("t", t), 0.1 * (1 + engine() % 5), {}});
      for (int v = 0; v < 6; ++v) terms.back().values.push_back(0.1 * static_cast<int>(engine() % 21) - 1);
    }
    for (const WeightSweep& sweep : SweepWeights({"a", "b", "c", "d", "e", "f"}, terms)) {
      ASSERT_EQ(sweep.segments.front().from, 0);
      ASSERT_EQ(sweep.segments.back().to, 1);
      for (std::size_t s = 1; s < sweep.segments.size(); ++s) {
        ASSERT_EQ(sweep.segments[s].from, sweep.segments[s - 1].to) << "trial " << trial;
      }
    }
  }
}

TEST(SweepWeights, GivesEqualsToTheFirst) {
  const std::vector<WeightSweep> sweeps = SweepWeights({"a", "b"}, {{"x", 0.5, {1, 1}}, {"y", 0.5, {0, 0}}});
  ASSERT_EQ(sweeps[0].segments.size(), 1U);
  EXPECT_EQ(sweeps[0].segments[0].winner, "a");
}

TEST(SweepWeights, SharesAlikeWhatAWeightOfOneLeaves) {
  // All weight on x, where a wins; without x, y and z count alike: a has 0, b 1.
  const std::vector<WeightSweep> sweeps =
      SweepWeights({"a", "b"}, {{"x", 1, {1, 0}}, {"y", 0, {0, 2}}, {"z", 0, {0, 0}}});
  ASSERT_EQ(sweeps[0].segments.size(), 2U);
  EXPECT_EQ(sweeps[0].segments[0].winner, "b");
  EXPECT_DOUBLE_EQ(sweeps[0].segments[0].to, 0.5);
}

TEST(SweepWeights, HasNothingToSweepInOneTerm) {
  EXPECT_TRUE(SweepWeights({"a"}, {{"x", 1, {1}}}).empty());
  EXPECT_TRUE(SweepWeights({}, {{"x", 0.5, {}}, {"y", 0.5, {}}}).empty());
}

}  // namespace
}  // namespace uaqf::ranking
