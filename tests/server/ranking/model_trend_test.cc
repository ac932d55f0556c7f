// A line over model sizes: what its slope is, what its interval holds, and what changes neither.
#include "server/ranking/model_trend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace uaqf::ranking {
namespace {

using Points = std::vector<TrendPoint>;

// Models of 1, 7, 13 and 70 billion parameters about a line of slope -0.2.
Points Four() { return {{1e9, 1.03, .01}, {7e9, .84, .02}, {13e9, .80, .01}, {70e9, .62, .03}}; }

Trend Fit(const Points& points) {
  const auto trend = FitTrend(points);
  EXPECT_TRUE(trend.has_value());
  return trend.value_or(Trend{});
}

void ExpectSame(const Trend& a, const Trend& b) {
  EXPECT_NEAR(a.slope, b.slope, 1e-12);
  EXPECT_NEAR(a.interval.low, b.interval.low, 1e-11);
  EXPECT_NEAR(a.interval.high, b.interval.high, 1e-11);
  EXPECT_NEAR(a.level, b.level, 1e-12);
}

TEST(Trend, GoesThroughModelsOnALine) {
  const Trend trend = Fit({{1e6, 1, .1}, {1e7, 3, .1}, {1e8, 5, .1}});
  EXPECT_NEAR(trend.slope, 2, 1e-12);
  EXPECT_NEAR(*trend.scatter, 0, 1e-12);
  EXPECT_NEAR(trend.level, 3, 1e-12);
  EXPECT_NEAR(trend.level_parameters, 1e7, 1);
}

// x = -1, 0, 1; residuals (1, -2, 1) / 6 * 0.6; t(0.975, 1) = 12.7062.
TEST(Trend, HasTheIntervalOfStudentsT) {
  const Trend trend = Fit({{1e6, 0, 0}, {1e7, .7, 0}, {1e8, 2, 0}});
  const double scatter = std::sqrt(6 * .1 * .1);
  EXPECT_NEAR(trend.slope, 1, 1e-12);
  EXPECT_NEAR(*trend.scatter, scatter, 1e-12);
  EXPECT_NEAR(trend.interval.high - trend.slope, 12.7062 * scatter / std::sqrt(2), 1e-9);
  EXPECT_NEAR(trend.slope - trend.interval.low, trend.interval.high - trend.slope, 1e-12);
  EXPECT_TRUE(trend.covers_models);
}

TEST(Trend, OfTwoModelsIsOfTheMeasurementAlone) {
  const Trend trend = Fit({{1e6, 0, .3}, {1e8, 1, .4}});
  EXPECT_NEAR(trend.slope, .5, 1e-12);
  EXPECT_NEAR(trend.interval.high, .5 + std::hypot(.3, .4) / 2, 1e-12);
  EXPECT_FALSE(trend.covers_models);
  EXPECT_FALSE(trend.scatter.has_value());
}

// On a line by luck, they are not better known than they were measured.
TEST(Trend, IsNeverSurerThanTheMeasurement) {
  const Trend lucky = Fit({{1e6, 0, .3}, {1e7, .5, 5}, {1e8, 1, .4}});
  EXPECT_NEAR(lucky.interval.width() / 2, std::hypot(.3, .4) / 2, 1e-12) << "the middle one does not tilt the line";
}

// A badly measured model far from the others carries the slope with it, and hides behind no small distance.
TEST(Trend, OwnsUpToTheModelThatCarriesIt) {
  const Trend trend = Fit({{1.0e8, 1, .01}, {1.1e8, 1, .01}, {1.2e8, 1, .01}, {7e10, 2, 3}});
  EXPECT_LT(trend.interval.low, -0.5);
  EXPECT_GT(trend.interval.high, 1.2);
}

TEST(Trend, IsTheSameInAnyOrder) {
  Points points = Four();
  const Trend trend = Fit(points);
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
  do {
    const Trend other = Fit(points);
    EXPECT_EQ(other.slope, trend.slope) << "to the last bit";
    EXPECT_EQ(other.interval.low, trend.interval.low);
  } while (std::next_permutation(points.begin(), points.end(),
                                 [](const auto& a, const auto& b) { return a.value < b.value; }));
}

TEST(Trend, DoesNotDependOnTheUnitOfParameters) {
  Points millions = Four();
  for (TrendPoint& p : millions) p.parameters /= 1e6;
  ExpectSame(Fit(millions), Fit(Four()));
  EXPECT_NEAR(Fit(millions).level_parameters, Fit(Four()).level_parameters / 1e6, 1e-6);
}

TEST(Trend, ScalesWithItsFigure) {
  Points scaled = Four();
  for (TrendPoint& p : scaled) p = {p.parameters, -3 * p.value, 3 * p.half_width};
  const Trend a = Fit(Four()), b = Fit(scaled);
  EXPECT_NEAR(b.slope, -3 * a.slope, 1e-12);
  EXPECT_NEAR(b.interval.low, -3 * a.interval.high, 1e-11);
  EXPECT_NEAR(b.interval.high, -3 * a.interval.low, 1e-11);
}

TEST(Trend, TurnsWithWhatIsAddedForEachTenfold) {
  Points turned = Four();
  for (TrendPoint& p : turned) p.value += 5 + .7 * std::log10(p.parameters);
  EXPECT_NEAR(Fit(turned).slope, Fit(Four()).slope + .7, 1e-11);
  EXPECT_NEAR(Fit(turned).interval.width(), Fit(Four()).interval.width(), 1e-10);
}

// As many again of the same leave the line where it is, and make it surer.
TEST(Trend, KeepsItsSlopeWhenEveryModelComesTwice) {
  Points twice = Four();
  for (const TrendPoint& p : Four()) twice.push_back(p);
  EXPECT_NEAR(Fit(twice).slope, Fit(Four()).slope, 1e-12);
  EXPECT_LT(Fit(twice).interval.width(), Fit(Four()).interval.width());
}

TEST(Trend, MovesTowardsAModelThatComesTwice) {
  Points points = Four();
  points.push_back({70e9, -1, .03});
  EXPECT_LT(Fit(points).slope, Fit(Four()).slope);
  EXPECT_GT(*Fit(points).scatter, *Fit(Four()).scatter);
}

TEST(Trend, WidensWithWorseMeasurements) {
  Points worse = Four();
  for (TrendPoint& p : worse) p.half_width *= 100;
  EXPECT_GT(Fit(worse).interval.width(), Fit(Four()).interval.width());
}

// A random set against the textbook's normal equations.
TEST(Trend, IsThatOfLeastSquares) {
  std::mt19937_64 engine(1);
  std::uniform_real_distribution<double> exponent(5, 11), value(-1, 1);
  for (int set = 0; set < 100; ++set) {
    Points points(3 + set % 6);
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (TrendPoint& p : points) {
      const double x = exponent(engine);
      p = {std::pow(10, x), value(engine), 0};
      n += 1, sx += x, sy += p.value, sxx += x * x, sxy += x * p.value;
    }
    EXPECT_NEAR(Fit(points).slope, (n * sxy - sx * sy) / (n * sxx - sx * sx), 1e-9);
  }
}

TEST(Trend, IsNotMadeUp) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(FitTrend({}).has_value());
  EXPECT_FALSE(FitTrend({{1e9, 1, .1}}).has_value());
  EXPECT_FALSE(FitTrend({{1e9, 1, .1}, {1e9, 2, .1}}).has_value()) << "of one size";
  EXPECT_FALSE(FitTrend({{1e9, 1, .1}, {2e9, kNaN, .1}}).has_value());
  EXPECT_FALSE(FitTrend({{1e9, 1, .1}, {2e9, 1, std::numeric_limits<double>::infinity()}}).has_value());
  EXPECT_FALSE(FitTrend({{0, 1, .1}, {2e9, 1, .1}}).has_value());
}

}  // namespace
}  // namespace uaqf::ranking
