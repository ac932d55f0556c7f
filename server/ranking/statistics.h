// The few statistics that the figures need.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace uaqf::ranking {

// Mean and sample variance of a sequence in one pass (Welford), without cancellation.
class Moments {
 public:
  void Add(double value) {
    ++count_;
    const double step = value - mean_;
    mean_ += step / static_cast<double>(count_);
    squares_ += step * (value - mean_);
  }
  std::int64_t count() const { return count_; }
  // 0 before the first value.
  double mean() const { return mean_; }
  // Absent with fewer than two values.
  std::optional<double> Variance() const;
  std::optional<double> Deviation() const;
  // t(0.975, n - 1) * deviation / sqrt(n): half width of the 95 % interval of the mean. Absent with fewer than two.
  std::optional<double> HalfWidth() const;

 private:
  std::int64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;
};

// Quantile 0.975 of Student's t with `degrees` >= 1 degrees of freedom, to 5 decimals.
double StudentT975(std::int64_t degrees);

// Order statistic x_(ceil(p n)) of `values`, which must not be empty and are reordered; 0 < p <= 1.
double OrderStatistic(std::span<double> values, double p);

}  // namespace uaqf::ranking
