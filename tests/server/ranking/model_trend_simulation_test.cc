// Thousands of synthetic sets of models with a known slope: the interval of the trend holds it as often as it says.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <deque>
#include <random>
#include <string>

#include "server/ranking/compare_models.h"
#include "server/ranking/decision_data.h"
#include "server/ranking/model_trend.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

constexpr int kSets = 4000;  // of each number of models
constexpr double kSlope = 0.3;

enum class Tails { kNormal, kHeavy };
// What models differ in beside their size: nothing, 1 to 3 times what their measurements are off, or 3 to 10 times.
enum class Scatter { kNone, kComparable, kLarge };
// All models as well as each other, or some up to three times better and some worse.
enum class Precision { kEqual, kUnequal };

struct Kind {
  Tails tails;
  Scatter scatter;
  Precision precision;
};

class ModelSets {
 public:
  ModelSets(const Kind& kind, std::uint64_t seed) : kind_(kind), engine_(seed) {}

  std::vector<TrendPoint> Next(int models) {
    std::vector<TrendPoint> points;
    const bool equal = kind_.precision == Precision::kEqual;
    // Root mean square of the errors: with equal chances from a third to three times.
    const double scatter = DrawScatter() * (equal ? 1 : std::sqrt(std::sinh(2 * std::log(3)) / (2 * std::log(3))));
    for (int m = 0; m < models; ++m) {
      const double x = Uniform(5, 11);
      const double error = equal ? 1 : std::exp(Uniform(-std::log(3), std::log(3)));
      const double value = kSlope * x + scatter * Noise() + error * std::normal_distribution<double>()(engine_);
      // As an interval over 40 prompts tells it.
      const double known = error * std::sqrt(std::chi_squared_distribution<double>(39)(engine_) / 39);
      points.push_back({std::pow(10, x), value, 2.0227 * known});
    }
    return points;
  }

 private:
  double Uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine_); }
  // Of variance 1; Student's t with 3 degrees of freedom has heavy tails.
  double Noise() {
    if (kind_.tails == Tails::kNormal) return std::normal_distribution<double>()(engine_);
    return std::student_t_distribution<double>(3)(engine_) / std::sqrt(3);
  }
  double DrawScatter() {
    if (kind_.scatter == Scatter::kNone) return 0;
    return kind_.scatter == Scatter::kComparable ? Uniform(1, 3) : Uniform(3, 10);
  }

  const Kind kind_;
  std::mt19937_64 engine_;
};

double Coverage(const Kind& kind, int fewest, int most) {
  ModelSets sets(kind, 20261128);
  int covered = 0, all = 0;
  for (int models = fewest; models <= most; ++models) {
    for (int i = 0; i < kSets; ++i) {
      const Interval interval = FitTrend(sets.Next(models))->interval;
      covered += interval.low <= kSlope && kSlope <= interval.high ? 1 : 0;
      ++all;
    }
  }
  return static_cast<double>(covered) / all;
}

class ModelTrends : public testing::TestWithParam<Kind> {};

TEST_P(ModelTrends, HoldTheSlopeAsOftenAsTheySay) {
  const double coverage = Coverage(GetParam(), 3, 6);
  std::printf("coverage %.4f; of 3, 4, 5, 6 models: %.4f %.4f %.4f %.4f\n", coverage, Coverage(GetParam(), 3, 3),
              Coverage(GetParam(), 4, 4), Coverage(GetParam(), 5, 5), Coverage(GetParam(), 6, 6));
  EXPECT_GE(coverage, 0.93);
  // Models that lie on a line but for the measurement: how they were measured is known as well, and the larger of two
  // intervals holds the slope more often than either.
  EXPECT_LE(coverage, GetParam().scatter == Scatter::kNone ? 0.995 : 0.97);
}

std::string NameOf(const testing::TestParamInfo<Kind>& info) {
  constexpr std::array<const char*, 2> kTails = {"Normal", "HeavyTails"};
  constexpr std::array<const char*, 3> kScatter = {"WithoutScatter", "WithScatter", "WithLargeScatter"};
  constexpr std::array<const char*, 2> kPrecision = {"", "MeasuredUnequally"};
  return std::string(kTails[static_cast<std::size_t>(info.param.tails)]) +
         kScatter[static_cast<std::size_t>(info.param.scatter)] +
         kPrecision[static_cast<std::size_t>(info.param.precision)];
}

INSTANTIATE_TEST_SUITE_P(Kinds, ModelTrends,
                         testing::Values(Kind{Tails::kNormal, Scatter::kNone, Precision::kEqual},
                                         Kind{Tails::kNormal, Scatter::kNone, Precision::kUnequal},
                                         Kind{Tails::kNormal, Scatter::kComparable, Precision::kEqual},
                                         Kind{Tails::kNormal, Scatter::kComparable, Precision::kUnequal},
                                         Kind{Tails::kNormal, Scatter::kLarge, Precision::kEqual},
                                         Kind{Tails::kHeavy, Scatter::kComparable, Precision::kEqual},
                                         Kind{Tails::kHeavy, Scatter::kComparable, Precision::kUnequal},
                                         Kind{Tails::kHeavy, Scatter::kLarge, Precision::kEqual}),
                         NameOf);

TEST(ModelTrendsOfTwo, HoldTheSlopeWhereOnlyTheMeasurementIsOff) {
  const double coverage = Coverage({Tails::kNormal, Scatter::kNone, Precision::kUnequal}, 2, 2);
  std::printf("coverage %.4f\n", coverage);
  EXPECT_GE(coverage, 0.93);
  EXPECT_LE(coverage, 0.97);
}

// From the records: jobs of 3 to 6 models, their prompts and windows noisy, the models themselves off the line.
class SyntheticJobs {
 public:
  SyntheticJobs(Tails tails, std::uint64_t seed) : tails_(tails), engine_(seed) {}

  // log2(speedup) = 1 + kSlope * x and loss = 0.3 - 0.02 * x at 10^x parameters.
  ModelComparison Next(int models) {
    measures_.clear();
    resampled_.clear();
    std::vector<ModelJob> jobs;
    for (int m = 0; m < models; ++m) {
      const double x = std::uniform_real_distribution<double>(5, 11)(engine_);
      const double speed = 1 + kSlope * x + 0.04 * Noise(), loss = 0.3 - 0.02 * x + 0.01 * Noise();
      const Measurements measurements = Job(std::exp2(speed), loss);
      measures_.push_back(*Measure(measurements));
      resampled_.push_back(PrepareDecision(measurements, {.resamples = 400}).resampled);
      jobs.push_back({"jobs/" + std::to_string(m), "m", static_cast<std::int64_t>(std::pow(10, x)), "",
                      &measures_.back(), &resampled_.back()});
    }
    return *CompareModels(jobs);
  }

 private:
  double Noise() {
    if (tails_ == Tails::kNormal) return std::normal_distribution<double>()(engine_);
    return std::student_t_distribution<double>(3)(engine_) / std::sqrt(3);
  }
  Measurements Job(double speedup, double loss) {
    Recorder recorder({"fp16", "a"});
    for (int prompt = 0; prompt < 20; ++prompt) {
      const double seconds = std::exp(0.2 * Noise());
      recorder.Timing(0, prompt, 0, seconds * std::exp(0.03 * Noise()), 50);
      recorder.Timing(1, prompt, 0, seconds / speedup * std::exp(0.03 * Noise()), 50);
    }
    for (int window = 0; window < 12; ++window) {
      const double nll = 4 + 0.3 * std::normal_distribution<double>()(engine_);
      recorder.Window(0, window, nll);
      recorder.Window(1, window, nll + loss + 0.02 * Noise());
    }
    return recorder.measurements();
  }

  const Tails tails_;
  std::mt19937_64 engine_;
  std::deque<std::vector<VariantMeasures>> measures_;
  std::deque<Resampled> resampled_;
};

class ModelReports : public testing::TestWithParam<Tails> {};

TEST_P(ModelReports, HoldTheSlopesOfTheirRecords) {
  constexpr int kReports = 2000;
  SyntheticJobs synthetic(GetParam(), 7);
  int speed = 0, loss = 0;
  for (int i = 0; i < kReports; ++i) {
    const VariantTrend trend = synthetic.Next(3 + i % 4).trends[0];
    speed += trend.speed->interval.low <= kSlope && kSlope <= trend.speed->interval.high ? 1 : 0;
    loss += trend.nll_loss->interval.low <= -0.02 && -0.02 <= trend.nll_loss->interval.high ? 1 : 0;
  }
  std::printf("coverage of speed %.4f, of loss %.4f\n", 1.0 * speed / kReports, 1.0 * loss / kReports);
  for (const int covered : {speed, loss}) {
    EXPECT_GE(1.0 * covered / kReports, 0.93);
    EXPECT_LE(1.0 * covered / kReports, 0.97);
  }
}

INSTANTIATE_TEST_SUITE_P(Tails, ModelReports, testing::Values(Tails::kNormal, Tails::kHeavy),
                         [](const auto& info) { return info.param == Tails::kNormal ? "Normal" : "HeavyTails"; });

}  // namespace
}  // namespace uaqf::ranking
