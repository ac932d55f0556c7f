// Utilities of resamples, summed up.
#include "server/ranking/uncertainty.h"

#include <gtest/gtest.h>

#include <random>

namespace uaqf::ranking {
namespace {

// `means` with independent normal noise of `deviation`.
Utilities Noisy(const std::vector<double>& means, double deviation, int resamples = 20000) {
  std::mt19937_64 engine(7);
  std::normal_distribution<double> noise(0, deviation);
  Utilities utilities{means.size(), means, {}};
  for (int r = 0; r < resamples; ++r) {
    for (const double mean : means) utilities.resampled.push_back(mean + noise(engine));
  }
  return utilities;
}

TEST(Stand, SharesAWinAmongEquals) {
  const Utilities utilities{3, {1, 1, 0}, {1, 1, 0, 2, 2, 0, 0, 0, 0.5, 1, 1, 0}};
  const std::vector<Standing> standings = Stand(utilities, 0);
  EXPECT_DOUBLE_EQ(standings[0].probability_best, 0.375);
  EXPECT_DOUBLE_EQ(standings[1].probability_best, 0.375);
  EXPECT_DOUBLE_EQ(standings[2].probability_best, 0.25);
  EXPECT_DOUBLE_EQ(standings[0].expected_regret, 0.125);
  EXPECT_EQ(standings[0].rank_low, 1);
  EXPECT_EQ(standings[0].rank_high, 2);
}

TEST(Stand, KnowsTwoNormalsApartByTheirDistance) {
  // P(N(0.1, 0.1) > N(0, 0.1)) = Phi(1 / sqrt(2)) = 0.7602.
  const std::vector<Standing> standings = Stand(Noisy({0.1, 0}, 0.1), 0);
  EXPECT_NEAR(standings[0].probability_best, 0.7602, 0.01);
  EXPECT_NEAR(standings[0].utility.low, 0.1 - 0.196, 0.01);
  EXPECT_NEAR(standings[0].utility.high, 0.1 + 0.196, 0.01);
  EXPECT_TRUE(standings[1].tied);
  // With one comparison, the interval of the difference is the usual one.
  EXPECT_NEAR(standings[1].behind.high, 0.1 + 1.96 * 0.1414, 0.01);
}

TEST(Stand, WidensDifferencesForHowManyThereAre) {
  std::vector<double> means(11);
  means[0] = 0.1;
  const std::vector<Standing> few = Stand(Noisy({0.1, 0}, 0.1), 0), many = Stand(Noisy(means, 0.1), 0);
  EXPECT_GT(many[1].behind.width(), 1.2 * few[1].behind.width());
}

// Differences that are never below 0, and far above it now and then: the spread alone would call them equal.
TEST(Stand, TellsApartWhatIsSkewed) {
  std::mt19937_64 engine(9);
  std::exponential_distribution<double> tail(1);
  Utilities utilities{2, {1.1, 0}, {}};
  for (int r = 0; r < 4000; ++r) {
    utilities.resampled.push_back(0.1 + tail(engine));
    utilities.resampled.push_back(0);
  }
  EXPECT_FALSE(Stand(utilities, 0)[1].tied);
  EXPECT_GT(Stand(utilities, 0)[1].behind.low, 0.1);
}

// 95 of 100 resamples lie within all intervals at once.
TEST(Stand, CoversAllDifferencesTogether) {
  std::vector<double> means = {0.3, 0.2, 0.1, 0, -0.1};
  const Utilities utilities = Noisy(means, 0.1);
  const std::vector<Standing> standings = Stand(utilities, 0);
  std::size_t within = 0;
  for (std::size_t r = 0; r < utilities.resamples(); ++r) {
    bool all = true;
    for (std::size_t v = 1; v < means.size(); ++v) {
      const double behind = utilities.resampled[r * means.size()] - utilities.resampled[r * means.size() + v];
      all = all && standings[v].behind.low <= behind && behind <= standings[v].behind.high;
    }
    within += all ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(within) / static_cast<double>(utilities.resamples()), 0.95, 0.002);
}

TEST(Stand, WithoutNoiseIsSure) {
  const Utilities utilities{2, {1, 0}, {1, 0, 1, 0, 1, 0}};
  const std::vector<Standing> standings = Stand(utilities, 0);
  EXPECT_EQ(standings[0].probability_best, 1);
  EXPECT_FALSE(standings[1].tied);
  EXPECT_TRUE(standings[0].tied) << "with itself";
  EXPECT_EQ(standings[1].rank_low, 2);
  EXPECT_EQ(standings[1].expected_regret, 1);
}

TEST(CentralInterval, LiesBetweenOrderStatistics) {
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) values.push_back(i);
  const Interval interval = CentralInterval(values);
  EXPECT_DOUBLE_EQ(interval.low, 2.5);
  EXPECT_DOUBLE_EQ(interval.high, 97.5);
  std::vector<double> one = {3};
  EXPECT_DOUBLE_EQ(CentralInterval(one).high, 3);
}

TEST(SmallestDetectable, IsMoreThanTheIntervalShows) { EXPECT_NEAR(SmallestDetectable({-1.96, 1.96}), 2.8016, 1e-3); }

}  // namespace
}  // namespace uaqf::ranking
