#include "server/ranking/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace uaqf::ranking {

std::optional<double> Moments::Variance() const {
  if (count_ < 2) return std::nullopt;
  return squares_ / static_cast<double>(count_ - 1);
}

std::optional<double> Moments::Deviation() const {
  const auto variance = Variance();
  if (!variance) return std::nullopt;
  return std::sqrt(*variance);
}

std::optional<double> Moments::HalfWidth() const {
  const auto deviation = Deviation();
  if (!deviation) return std::nullopt;
  return StudentT975(count_ - 1) * *deviation / std::sqrt(static_cast<double>(count_));
}

double StudentT975(std::int64_t degrees) {
  // Below 10 the expansion is off by more than the 5 decimals that are promised.
  static constexpr std::array<double, 10> kTable = {0,       12.70620, 4.30265, 3.18245, 2.77645,
                                                    2.57058, 2.44691,  2.36462, 2.30600, 2.26216};
  if (degrees < static_cast<std::int64_t>(kTable.size())) return kTable[degrees < 1 ? 1 : degrees];
  // Cornish-Fisher expansion around the normal quantile.
  const double z = 1.959963984540054, n = static_cast<double>(degrees);
  const double z2 = z * z;
  const double g1 = z * (z2 + 1) / 4;
  const double g2 = z * ((5 * z2 + 16) * z2 + 3) / 96;
  const double g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
  const double g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
  return z + (g1 + (g2 + (g3 + g4 / n) / n) / n) / n;
}

double OrderStatistic(std::span<double> values, double p) {
  const double position = std::ceil(p * static_cast<double>(values.size()) - 1e-9);
  const auto index = static_cast<std::size_t>(std::max(1.0, position)) - 1;
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(std::min(index, values.size() - 1));
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

}  // namespace uaqf::ranking
