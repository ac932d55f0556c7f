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
// small to have it: the upper one of a p95 needs 59 values, that of a p99 needs 299.
struct PercentileBounds {
  double value = 0;
  std::optional<double> low;
  std::optional<double> high;
};
// `sorted` is not empty and ascends; its values are independent.
PercentileBounds BoundPercentile(const std::vector<double>& sorted, double p);

// 95 % of a share of which `successes` of n >= 1 trials tell (Wilson's score interval).
Interval WilsonInterval(std::int64_t successes, std::int64_t n);

// McNemar's exact test: the probability, under "either way alike", of `a` against `b` flips or a more uneven split. 1
// without flips.
double FlipPValue(std::int64_t a, std::int64_t b);

// Confidence that the percentile p is at most `limit`: P(X < values at or below the limit), X of n trials of p.
double ConfidenceAtMost(const std::vector<double>& sorted, double p, double limit);

}  // namespace uaqf::ranking
