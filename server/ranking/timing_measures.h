// The measures of speed and stability. Internal to server/ranking.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "server/ranking/measures.h"

namespace uaqf::ranking {

// Fills the timing fields of `measures`, one entry per variant; the tables are already checked.
// InvalidArgument: a (variant, item, repeat) twice, or a repeat beyond 127.
[[nodiscard]] absl::Status MeasureTimings(const Measurements& measurements, std::vector<VariantMeasures>* measures);

}  // namespace uaqf::ranking
