// All that a ranking needs of the records beside the figures of each variant, read once for every profile.
#pragma once

#include <optional>
#include <vector>

#include "server/ranking/energy.h"
#include "server/ranking/measurements.h"
#include "server/ranking/noise_floor.h"
#include "server/ranking/resample.h"
#include "server/ranking/traffic.h"
#include "server/ranking/traffic_map.h"

namespace uaqf::ranking {

// Times of all records of one variant, ascending, s.
struct TimeSample {
  std::vector<double> latency_s;
  std::vector<double> ttft_s;
  std::int64_t prompts = 0;  // that the records are of
};

struct DecisionData {
  Resampled resampled;
  std::vector<TimeSample> times;          // in the order of Measurements::variants
  std::vector<ResampledEnergy> energy{};  // in the same order
  std::optional<TrafficTimes> traffic{};  // absent where no grid was timed
  std::optional<TrafficMap> map{};        // of it; the same for every profile
  std::optional<TwinData> twin{};         // of fp16 timed twice; absent where the job did not
};

// `common` as KeepCommonRecords gives it, `twin` as SplitTwin does.
[[nodiscard]] DecisionData PrepareDecision(const Measurements& common, const ResampleOptions& options = {},
                                           const std::optional<TwinRecords>& twin = std::nullopt);

}  // namespace uaqf::ranking
