#include "server/ranking/pareto.h"

#include <cstddef>

namespace uaqf::ranking {
namespace {

bool Dominates(const std::vector<std::vector<double>>& columns, std::size_t a, std::size_t b) {
  bool better = false;
  for (const std::vector<double>& column : columns) {
    if (column[a] < column[b]) return false;
    better = better || column[a] > column[b];
  }
  return better;
}

}  // namespace

std::vector<std::int32_t> DominatedBy(const std::vector<std::vector<double>>& columns, std::size_t variants) {
  const auto on_front = [&](std::size_t v) {
    for (std::size_t other = 0; other < variants; ++other) {
      if (Dominates(columns, other, v)) return false;
    }
    return true;
  };
  std::vector<std::int32_t> dominated_by(variants, -1);
  std::vector<std::size_t> front;
  for (std::size_t v = 0; v < variants; ++v) {
    if (on_front(v)) front.push_back(v);
  }
  for (std::size_t v = 0; v < variants; ++v) {
    for (const std::size_t other : front) {
      if (!Dominates(columns, other, v)) continue;
      dominated_by[v] = static_cast<std::int32_t>(other);
      break;
    }
  }
  return dominated_by;
}

}  // namespace uaqf::ranking
