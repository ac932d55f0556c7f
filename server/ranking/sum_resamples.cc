#include "server/ranking/sum_resamples.h"

#include <algorithm>
#include <cmath>

#include "server/ranking/statistics.h"

namespace uaqf::ranking {
namespace {

constexpr double kZ975 = 1.959963984540054;

double Expansion(std::size_t n) {
  const auto units = static_cast<double>(n);
  return StudentT975(static_cast<std::int64_t>(n) - 1) / kZ975 * std::sqrt(units / (units - 1));
}

}  // namespace

void SumResamples(std::size_t n, const std::vector<const std::vector<double>*>& columns, std::int32_t resamples,
                  Generator* generator, const std::function<void(std::int32_t, const double*)>& take) {
  std::vector<double> totals(columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    for (const double value : *columns[c]) totals[c] += value;
  }
  const double expansion = Expansion(n);
  std::vector<double> counts(n * kResampleBatch), sums(columns.size() * kResampleBatch);
  for (std::int32_t first = 0; first < resamples; first += kResampleBatch) {
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t b = 0; b < kResampleBatch; ++b) {
      for (std::size_t i = 0; i < n; ++i) {
        ++counts[generator->Below(static_cast<std::uint32_t>(n)) * kResampleBatch + b];
      }
    }
    for (std::size_t c = 0; c < columns.size(); ++c) {
      double drawn[kResampleBatch] = {};
      const double* column = columns[c]->data();
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t b = 0; b < kResampleBatch; ++b) drawn[b] += counts[i * kResampleBatch + b] * column[i];
      }
      for (std::size_t b = 0; b < kResampleBatch; ++b) {
        sums[c * kResampleBatch + b] = totals[c] + expansion * (drawn[b] - totals[c]);
      }
    }
    const std::int32_t last = std::min<std::int32_t>(first + kResampleBatch, resamples);
    for (std::int32_t r = first; r < last; ++r) take(r, sums.data() + (r - first));
  }
}

}  // namespace uaqf::ranking
