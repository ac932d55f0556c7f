#include "server/ranking/binomial.h"

#include <algorithm>
#include <cmath>

namespace uaqf::ranking {
namespace {

constexpr double kConfidence = 0.95;

double LogChoose(std::int64_t n, std::int64_t k) {
  const auto x = [](std::int64_t value) { return std::lgamma(static_cast<double>(value) + 1); };
  return x(n) - x(k) - x(n - k);
}

// P(X = k).
double Mass(std::int64_t k, std::int64_t n, double p) {
  return std::exp(LogChoose(n, k) + static_cast<double>(k) * std::log(p) + static_cast<double>(n - k) * std::log1p(-p));
}

}  // namespace

double BinomialBelow(std::int64_t k, std::int64_t n, double p) {
  // From k away from the mean: masses fall off, and the sum ends where they no longer count.
  const bool up = static_cast<double>(k) <= static_cast<double>(n) * p;
  double sum = 0;
  if (up) {
    for (std::int64_t i = k - 1; i >= 0; --i) {
      const double mass = Mass(i, n, p);
      sum += mass;
      if (mass < 1e-18) break;
    }
    return sum;
  }
  for (std::int64_t i = k; i <= n; ++i) {
    const double mass = Mass(i, n, p);
    sum += mass;
    if (mass < 1e-18) break;
  }
  return 1 - sum;
}

PercentileBounds BoundPercentile(const std::vector<double>& sorted, std::int64_t units, double p) {
  const std::int64_t n = units, values = static_cast<std::int64_t>(sorted.size());
  const auto at = [&](std::int64_t rank) { return sorted[static_cast<std::size_t>(rank - 1)]; };
  PercentileBounds bounds;
  bounds.value =
      at(std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(p * static_cast<double>(values) - 1e-9))));
  // BinomialBelow grows with the rank: the first rank that has the confidence, from below, and the last from above.
  std::int64_t low = 1, high = n + 1;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (BinomialBelow(middle, n, p) >= kConfidence) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  // The last value of that unit.
  if (low <= n) bounds.high = at((low * values + n - 1) / n);
  low = 0, high = n;
  while (low < high) {
    const std::int64_t middle = (low + high + 1) / 2;
    if (1 - BinomialBelow(middle, n, p) >= kConfidence) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  // The first value of that unit.
  if (low >= 1) bounds.low = at((low - 1) * values / n + 1);
  return bounds;
}

Interval WilsonInterval(std::int64_t successes, std::int64_t n) {
  constexpr double kZ = 1.959964;
  const auto trials = static_cast<double>(n);
  const double share = static_cast<double>(successes) / trials;
  const double shrink = 1 + kZ * kZ / trials;
  const double middle = (share + kZ * kZ / (2 * trials)) / shrink;
  const double half = kZ * std::sqrt(share * (1 - share) / trials + kZ * kZ / (4 * trials * trials)) / shrink;
  // At the ends of the scale the bound is the end; rounding puts it beside.
  return {successes == 0 ? 0 : middle - half, successes == n ? 1 : middle + half};
}

double FlipPValue(std::int64_t a, std::int64_t b) {
  return std::min(1.0, 2 * BinomialBelow(std::min(a, b) + 1, a + b, 0.5));
}

double ConfidenceAtMost(const std::vector<double>& sorted, std::int64_t units, double p, double limit) {
  const std::int64_t within = std::upper_bound(sorted.begin(), sorted.end(), limit) - sorted.begin();
  return BinomialBelow(within * units / static_cast<std::int64_t>(sorted.size()), units, p);
}

}  // namespace uaqf::ranking
