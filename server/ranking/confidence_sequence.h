// An interval for a mean that may be looked at after every value, and acted upon, without the looks adding up to an
// error: the time-uniform central limit theorem (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Time-uniform
// central limit theory and asymptotic confidence sequences, theorem 2.2), its boundary widened for few values as
// Student's t widens a normal's. Sequences that hold at any size (empirical Bernstein, betting) pay for the range of
// the values: with tens of prompts they tell nothing apart.
#pragma once

#include <cmath>

#include "server/ranking/statistics.h"
#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

class ConfidenceSequence {
 public:
  // Fewer values tell nothing.
  static constexpr int kLeastValues = 5;

  // With probability 1 - `error` the mean lies above interval().low at all times, and with as much below
  // interval().high. 0 < error < 0.5.
  explicit ConfidenceSequence(double error);

  void Add(double value);
  // The narrowest so far; everything before there are kLeastValues.
  const Interval& interval() const { return interval_; }

 private:
  const double log_error_;
  const double tuning_;
  Moments values_;
  Interval interval_;
};

// The same of a probability, or of the mean of values from 0 to 1, where a few equal values must not pass for
// certainty: those p that no mixture of bets against them has multiplied its stake by 1 / error on (Robbins 1970,
// Statistical methods related to the law of the iterated logarithm, with Jeffreys' mixture). Holds at any size.
class ShareSequence {
 public:
  explicit ShareSequence(double error) : log_error_(-std::log(error)) {}

  void Add(double share) {
    ++count_;
    sum_ += share;
  }
  // By all values so far; {0, 1} before the first.
  Interval interval() const;

 private:
  // Logarithm of what a stake has become by betting against p.
  double Won(double p) const;
  double Bound(double inside, double outside) const;

  const double log_error_;
  double count_ = 0;
  double sum_ = 0;
};

}  // namespace uaqf::ranking
