#include "server/ranking/decision_data.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
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
  std::vector<absl::flat_hash_set<std::int32_t>> prompts(common.variants.size());
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    TimeSample& sample = data.times[t.variant[k]];
    sample.latency_s.push_back(static_cast<double>(t.latency_ns[k]) / 1e9);
    sample.ttft_s.push_back(static_cast<double>(t.prefill_ns[k]) / 1e9);
    prompts[t.variant[k]].insert(t.item[k]);
  }
  for (std::size_t v = 0; v < data.times.size(); ++v) {
    TimeSample& sample = data.times[v];
    sample.prompts = static_cast<std::int64_t>(prompts[v].size());
    std::sort(sample.latency_s.begin(), sample.latency_s.end());
    std::sort(sample.ttft_s.begin(), sample.ttft_s.end());
  }
  return data;
}

}  // namespace uaqf::ranking
