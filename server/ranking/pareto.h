// The Pareto front: variants that no other one beats in every term.
#pragma once

#include <cstdint>
#include <vector>

namespace uaqf::ranking {

// Index of a variant that dominates each one: at least as good in every column and better in one; -1 on the front.
// `columns[c][v]`: higher is better. The dominator is itself on the front, the first such one. Equals do not dominate
// each other. Without columns nobody is dominated. O(variants^2).
[[nodiscard]] std::vector<std::int32_t> DominatedBy(const std::vector<std::vector<double>>& columns,
                                                    std::size_t variants);

}  // namespace uaqf::ranking
