// A profile with a traffic mix: its speed is that of the mix, and not that of batch 1.
#pragma once

#include <optional>
#include <vector>

#include "server/ranking/decision_data.h"
#include "server/ranking/measures.h"
#include "server/ranking/traffic.h"

namespace uaqf::ranking {

struct MixedFigures {
  std::vector<VariantMeasures> measures;
  DecisionData data;
};

// Measures and resamples with `tokens_per_s` that of the mix; all else as it was, so stability and latency stay those
// of batch 1. A variant that lacks a combination of the grid (TrafficTimes::HasAll), or all where the mix cannot be
// told, loses its speed, with a timing_problem.
[[nodiscard]] MixedFigures WithTraffic(const std::vector<VariantMeasures>& measures, const DecisionData& data,
                                       const TrafficMix& mix);

}  // namespace uaqf::ranking
