#include "server/ranking/confidence_sequence.h"

#include <algorithm>
#include <cmath>

namespace uaqf::ranking {
namespace {

// After so many values the boundary is narrowest for its error.
constexpr double kTunedFor = 20;

// A normal's quantile z as Student's t of `degrees` has it (Cornish and Fisher).
double Widened(double z, double degrees) {
  const double square = z * z;
  return z * (1 + (square + 1) / (4 * degrees) + ((5 * square + 16) * square + 3) / (96 * degrees * degrees));
}

}  // namespace

ConfidenceSequence::ConfidenceSequence(double error)
    : log_error_(-std::log(2 * error)),
      tuning_((2 * log_error_ + std::log(2 * log_error_ + 1)) / kTunedFor),
      interval_{-HUGE_VAL, HUGE_VAL} {}

void ConfidenceSequence::Add(double value) {
  values_.Add(value);
  if (values_.count() < kLeastValues) return;
  const auto count = static_cast<double>(values_.count());
  const double scaled = count * tuning_;
  const double z = std::sqrt(2 * (scaled + 1) / scaled * (std::log(scaled + 1) / 2 + log_error_));
  const double margin = Widened(z, count - 1) * *values_.Deviation() / std::sqrt(count);
  interval_.low = std::max(interval_.low, values_.mean() - margin);
  interval_.high = std::min(interval_.high, values_.mean() + margin);
}

double ShareSequence::Won(double p) const {
  const double misses = count_ - sum_;
  const double mixture = std::lgamma(sum_ + 0.5) + std::lgamma(misses + 0.5) - std::lgamma(count_ + 1);
  const auto times = [](double n, double log) { return n == 0 ? 0 : n * log; };
  // Of no value, the mixture is pi.
  return mixture - std::log(M_PI) - times(sum_, std::log(p)) - times(misses, std::log1p(-p));
}

// Where between a p that is not excluded and one that is the stake reaches its limit.
double ShareSequence::Bound(double inside, double outside) const {
  if (!(Won(outside) > log_error_)) return outside;
  for (int i = 0; i < 60; ++i) {
    const double middle = (inside + outside) / 2;
    (Won(middle) > log_error_ ? outside : inside) = middle;
  }
  return outside;
}

Interval ShareSequence::interval() const {
  if (count_ == 0) return {0, 1};
  const double mean = sum_ / count_;
  return {Bound(mean, 0), Bound(mean, 1)};
}

}  // namespace uaqf::ranking
