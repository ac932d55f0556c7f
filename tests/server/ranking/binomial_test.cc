// Percentiles by order statistics.
#include "server/ranking/binomial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace uaqf::ranking {
namespace {

std::vector<double> Ascending(int n) {
  std::vector<double> values(n);
  for (int i = 0; i < n; ++i) values[i] = i + 1;
  return values;
}

TEST(BinomialBelow, IsTheSumOfItsMasses) {
  for (const std::int64_t n : {1, 2, 7, 40}) {
    for (const double p : {0.05, 0.5, 0.95}) {
      double sum = 0;
      for (std::int64_t k = 0; k <= n; ++k) {
        EXPECT_NEAR(BinomialBelow(k, n, p), sum, 1e-12);
        double mass = std::pow(p, k) * std::pow(1 - p, n - k);
        for (std::int64_t i = 0; i < k; ++i) mass *= static_cast<double>(n - i) / static_cast<double>(i + 1);
        sum += mass;
      }
      EXPECT_NEAR(BinomialBelow(n + 1, n, p), 1, 1e-12);
    }
  }
}

TEST(BinomialBelow, HoldsForManyTrials) {
  EXPECT_NEAR(BinomialBelow(50000, 100000, 0.5), 0.5, 2e-3);
  EXPECT_NEAR(BinomialBelow(95000 - 135, 100000, 0.95), 0.025, 1e-3);
}

TEST(BoundPercentile, NeedsFiftyNineForAP95AndThreeHundredForAP99) {
  EXPECT_FALSE(BoundPercentile(Ascending(58), 58, 0.95).high);
  EXPECT_EQ(BoundPercentile(Ascending(59), 59, 0.95).high, 59);
  EXPECT_FALSE(BoundPercentile(Ascending(298), 298, 0.99).high);
  EXPECT_EQ(BoundPercentile(Ascending(299), 299, 0.99).high, 299);
  EXPECT_FALSE(BoundPercentile(Ascending(4), 4, 0.5).high);
  EXPECT_EQ(BoundPercentile(Ascending(5), 5, 0.5).high, 5);
  EXPECT_EQ(BoundPercentile(Ascending(5), 5, 0.5).low, 1);
}

TEST(BoundPercentile, HoldsTheTruePercentileAsOftenAsItSays) {
  std::mt19937_64 engine(5);
  std::exponential_distribution<double> draw(1);
  const double truth = -std::log(0.05);
  int above_low = 0, below_high = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> sample(200);
    for (double& value : sample) value = draw(engine);
    std::sort(sample.begin(), sample.end());
    const PercentileBounds bounds = BoundPercentile(sample, 200, 0.95);
    EXPECT_LE(*bounds.low, bounds.value);
    EXPECT_LE(bounds.value, *bounds.high);
    above_low += truth >= *bounds.low ? 1 : 0;
    below_high += truth <= *bounds.high ? 1 : 0;
    EXPECT_EQ(ConfidenceAtMost(sample, 200, 0.95, *bounds.high) >= 0.95, true);
  }
  EXPECT_GE(above_low, 0.945 * kTrials);
  EXPECT_GE(below_high, 0.945 * kTrials);
}

TEST(BoundPercentile, TakesValuesOfOneUnitForNoMoreThanOne) {
  std::vector<double> thrice;
  for (const double value : Ascending(70)) thrice.insert(thrice.end(), 3, value);
  const PercentileBounds once = BoundPercentile(Ascending(70), 70, 0.95), bounds = BoundPercentile(thrice, 70, 0.95);
  EXPECT_EQ(bounds.low, once.low);
  EXPECT_EQ(bounds.high, once.high);
  for (const double limit : {50.5, 66.0, 69.5, 70.0}) {
    EXPECT_EQ(ConfidenceAtMost(thrice, 70, 0.95, limit), ConfidenceAtMost(Ascending(70), 70, 0.95, limit)) << limit;
  }
  EXPECT_FALSE(BoundPercentile(thrice, 58, 0.95).high) << "210 values of 58 units";
}

// Situation: prompts differ by far more than runs of one do.
TEST(BoundPercentile, HoldsThePercentileOfRepeatedUnitsToo) {
  std::mt19937_64 engine(6);
  std::normal_distribution<double> unit(0, 1), run(0, 0.03);
  const double truth = 1.6449 * std::sqrt(1 + 0.03 * 0.03);
  int below_high = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> sample;
    for (int k = 0; k < 100; ++k) {
      const double middle = unit(engine);
      for (int r = 0; r < 5; ++r) sample.push_back(middle + run(engine));
    }
    std::sort(sample.begin(), sample.end());
    below_high += truth <= *BoundPercentile(sample, 100, 0.95).high ? 1 : 0;
  }
  EXPECT_GE(below_high, 0.945 * kTrials);
}

TEST(FlipPValue, IsMcNemarsExactTest) {
  EXPECT_DOUBLE_EQ(FlipPValue(0, 0), 1);
  EXPECT_DOUBLE_EQ(FlipPValue(3, 3), 1);
  EXPECT_NEAR(FlipPValue(0, 5), 2 / 32.0, 1e-12);
  EXPECT_NEAR(FlipPValue(5, 0), 2 / 32.0, 1e-12);
  // 2 (C(10,0) + C(10,1) + C(10,2)) / 1024.
  EXPECT_NEAR(FlipPValue(2, 8), 112 / 1024.0, 1e-12);
}

}  // namespace
}  // namespace uaqf::ranking
