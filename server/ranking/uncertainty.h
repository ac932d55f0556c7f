// How sure a ranking is: the utilities of many resamples, summed up (METHODS.md, section 2).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace uaqf::ranking {

struct Interval {
  double low = 0;
  double high = 0;
  double width() const { return high - low; }
};

// Utilities of `variants` variants: of the sample itself, and of every resample.
struct Utilities {
  std::size_t variants = 0;
  std::vector<double> observed;   // [variant]
  std::vector<double> resampled;  // [resample * variants + variant]
  std::size_t resamples() const { return variants == 0 ? 0 : resampled.size() / variants; }
};

// Where a variant stands among the others.
struct Standing {
  Interval utility;             // 95 %
  double probability_best = 0;  // share of resamples that it wins; equals share a win
  std::int32_t rank_low = 0;    // 95 % of its ranks, from 1
  std::int32_t rank_high = 0;
  double expected_regret = 0;  // mean of (highest utility - its own) over resamples
  Interval behind;             // of (the winner's utility - its own): 95 % for all variants together; 0 for the winner
  bool tied = false;           // `behind` reaches 0 or below, or its value does not exceed `noise`
  double noise = 0;            // what noise alone may put between the winner's utility and its own; 0: none is known
};

// `winner` indexes the variant that the ranking names; `noise` is that of each variant, or empty: none is known. Linear
// in resamples * variants, but for the sorting.
[[nodiscard]] std::vector<Standing> Stand(const Utilities& utilities, std::size_t winner,
                                          const std::vector<double>& noise = {});

// The central 95 % of `values`, which are not empty and are reordered; between order statistics by linear
// interpolation.
[[nodiscard]] Interval CentralInterval(std::vector<double>& values);

// 95 % interval of a figure over `resamples` resamples.
[[nodiscard]] Interval IntervalOf(std::int32_t resamples, const std::function<double(std::int32_t)>& figure);

// Half width of the smallest difference that a repetition of the measurement would find in 80 of 100 cases, testing at
// 5 %: (z(0.975) + z(0.8)) standard deviations. `interval` is a 95 % one.
[[nodiscard]] double SmallestDetectable(const Interval& interval);

}  // namespace uaqf::ranking
