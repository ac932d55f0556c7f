// Exact statements about shares: what order statistics of a sample say about a percentile of what it was drawn from.
// Internal to server/ranking.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

// P(X < k) for X the number of successes in n trials of probability p; 0 <= k <= n + 1, 0 < p < 1.
double BinomialBelow(std::int64_t k, std::int64_t n, double p);

// Of the percentile p of the distribution that a sorted sample was drawn from: its point value x_(ceil(p n)), and the
// order statistics that it lies between, each bound with 95 % confidence. A bound is absent where the sample is too
// small to have it: the upper one of a p95 needs 59 units, that of a p99 needs 299.
struct PercentileBounds {
  double value = 0;
  std::optional<double> low;
  std::optional<double> high;
};
// `sorted` is not empty and ascends. Its values come from 1 to as many `units` that are independent, each with about as
// many values as another. Those of one unit (the runs of a prompt) may be as good as equal, so ranks are counted in
// units: with k values of each, the unit's rank r is the value's k r. Exact where the values of a unit are equal, on
// the safe side otherwise.
PercentileBounds BoundPercentile(const std::vector<double>& sorted, std::int64_t units, double p);

// 95 % of a share of which `successes` of n >= 1 trials tell (Wilson's score interval).
Interval WilsonInterval(std::int64_t successes, std::int64_t n);

// McNemar's exact test: the probability, under "either way alike", of `a` against `b` flips or a more uneven split. 1
// without flips.
double FlipPValue(std::int64_t a, std::int64_t b);

// Confidence that the percentile p is at most `limit`: P(X < units at or below the limit), X of so many trials of p as
// there are units, of a sample as BoundPercentile has it.
double ConfidenceAtMost(const std::vector<double>& sorted, std::int64_t units, double p, double limit);

}  // namespace uaqf::ranking
