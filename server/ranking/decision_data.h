// All that a ranking needs of the records beside the figures of each variant, read once for every profile.
#pragma once

#include <vector>

#include "server/ranking/energy.h"
#include "server/ranking/measurements.h"
#include "server/ranking/resample.h"

namespace uaqf::ranking {

// Times of all records of one variant, ascending, s.
struct TimeSample {
  std::vector<double> latency_s;
  std::vector<double> ttft_s;
};

struct DecisionData {
  Resampled resampled;
  std::vector<TimeSample> times;          // in the order of Measurements::variants
  std::vector<ResampledEnergy> energy{};  // in the same order
};

// `common` as KeepCommonRecords gives it.
[[nodiscard]] DecisionData PrepareDecision(const Measurements& common, const ResampleOptions& options = {});

}  // namespace uaqf::ranking
