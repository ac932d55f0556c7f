// Figures that somebody published, ranked by the same formulas as what was measured here: single values, without runs,
// windows or anything else that would tell how sure they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/ranking/measures.h"

namespace uaqf::ranking {

struct PublishedFigures {
  std::string variant;  // kBaseline for the one that the others are compared with
  std::optional<double> latency_s;
  std::optional<double> tokens_per_s;
  std::optional<double> delta_perplexity;  // to the baseline's
  std::optional<std::int64_t> memory_bytes;
};

// In the order given; `published` of each is set. What a table does not give is absent, never zero.
[[nodiscard]] std::vector<VariantMeasures> MeasuresOf(const std::vector<PublishedFigures>& figures);

}  // namespace uaqf::ranking
