#include "server/ranking/decision_data.h"

#include <algorithm>

#include "server/ranking/paired_units.h"

namespace uaqf::ranking {

DecisionData PrepareDecision(const Measurements& common, const ResampleOptions& options,
                             const std::optional<TwinRecords>& twin) {
  DecisionData data{.resampled = Resample(PairUnits(common), options), .times = {}};
  if (twin) data.twin = PrepareTwin(*twin, options);
  data.traffic = ResampleTraffic(common, options);
  if (data.traffic) data.map = MapTraffic(*data.traffic, common.variants);
  data.energy = ResampleEnergy(EnergyOf(common), options);
  data.times.resize(common.variants.size());
  const TimingColumns& t = common.timings;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    TimeSample& sample = data.times[t.variant[k]];
    sample.latency_s.push_back(static_cast<double>(t.latency_ns[k]) / 1e9);
    sample.ttft_s.push_back(static_cast<double>(t.prefill_ns[k]) / 1e9);
  }
  for (TimeSample& sample : data.times) {
    std::sort(sample.latency_s.begin(), sample.latency_s.end());
    std::sort(sample.ttft_s.begin(), sample.ttft_s.end());
  }
  return data;
}

}  // namespace uaqf::ranking
