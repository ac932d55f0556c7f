// Sums of columns over units drawn with replacement: the inner loop of every bootstrap. Internal to server/ranking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "server/ranking/generator.h"

namespace uaqf::ranking {

// Resamples that are summed in one pass over the units: a column is read once for all of them.
inline constexpr std::size_t kResampleBatch = 8;

// For each resample r of `n` units, of which there are at least two: take(r, sums), where sums[c * kResampleBatch] is
// the sum of column c over the units drawn, moved away from the sum of all units as resample.h says.
void SumResamples(std::size_t n, const std::vector<const std::vector<double>*>& columns, std::int32_t resamples,
                  Generator* generator, const std::function<void(std::int32_t, const double*)>& take);

}  // namespace uaqf::ranking
