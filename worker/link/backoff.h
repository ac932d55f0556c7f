// Delays between attempts to open a stream: doubling, with jitter, so that workers that lost a coordinator together do
// not come back together.
#pragma once

#include <algorithm>
#include <random>

#include "absl/time/time.h"

namespace uaqf::link {

class Backoff {
 public:
  absl::Duration Next() {
    const absl::Duration delay = next_ * std::uniform_real_distribution<double>(0.5, 1.5)(random_);
    next_ = std::min(next_ * 2, kLongest);
    return delay;
  }
  // The stream worked: begin with the shortest delay again.
  void Reset() { next_ = kShortest; }

 private:
  static constexpr absl::Duration kShortest = absl::Milliseconds(50);
  static constexpr absl::Duration kLongest = absl::Seconds(2);
  absl::Duration next_ = kShortest;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace uaqf::link
