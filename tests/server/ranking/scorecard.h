// What the rankings of many simulated jobs said, against what is true.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "server/ranking/rank.h"

namespace uaqf::ranking {

class Scorecard {
 public:
  // The utility that was said of a variant other than fp16.
  void AddInterval(const Interval& said, double truth) {
    ++intervals_;
    covered_ += said.low <= truth && truth <= said.high ? 1 : 0;
  }
  // P(best) of the winner that was named.
  void AddWinner(double probability, bool right) {
    ++jobs_;
    Bin& bin =
        bins_[std::min(static_cast<std::size_t>(probability * static_cast<double>(bins_.size())), bins_.size() - 1)];
    bin.said += probability;
    bin.right += right ? 1 : 0;
    hard_ += probability >= 0.5 && probability < 0.95 ? 1 : 0;
    declared_ += probability >= 0.95 ? 1 : 0;
    wrong_ += probability >= 0.95 && !right ? 1 : 0;
  }

  double coverage() const { return static_cast<double>(covered_) / intervals_; }
  double hard() const { return static_cast<double>(hard_) / jobs_; }
  // Of the winners declared with P(best) >= 0.95.
  double wrong() const { return declared_ == 0 ? 0 : static_cast<double>(wrong_) / declared_; }
  double calibration_error() const {
    double error = 0;
    for (const Bin& bin : bins_) error += std::abs(bin.said - bin.right) / jobs_;
    return error;
  }

 private:
  struct Bin {
    double said = 0;
    double right = 0;
  };

  std::array<Bin, 10> bins_ = {};
  int jobs_ = 0, intervals_ = 0, covered_ = 0, hard_ = 0, declared_ = 0, wrong_ = 0;
};

}  // namespace uaqf::ranking
