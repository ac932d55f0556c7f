#include "server/ranking/traffic_speed.h"

#include <string>
#include <utility>

#include "absl/strings/str_format.h"

namespace uaqf::ranking {
namespace {

void LoseSpeed(const std::string& why, VariantMeasures* measures) {
  measures->tokens_per_s.reset();
  measures->speedup.reset();
  measures->timing_problem = why;
}

std::string Incomplete(const TrafficTimes& times) {
  return absl::StrFormat(
      "not every batch of the traffic grid was timed with it in at least %d of the draws of the others",
      times.least_draws());
}

}  // namespace

MixedFigures WithTraffic(const std::vector<VariantMeasures>& measures, const DecisionData& data,
                         const TrafficMix& mix) {
  MixedFigures mixed{measures, data};
  const TrafficTimes* times = data.traffic ? &*data.traffic : nullptr;
  const std::string why = WhyNoMix(times, mix);
  for (std::size_t v = 0; v < mixed.measures.size(); ++v) {
    if (!why.empty() || !times->HasAll(v)) {
      LoseSpeed(why.empty() ? Incomplete(*times) : why, &mixed.measures[v]);
      continue;
    }
    mixed.measures[v].tokens_per_s = Estimate{MixTokensPerS(*times, TrafficTimes::kAllDraws, v, mix), {}};
  }
  if (!why.empty()) return mixed;
  mixed.data.resampled.ReplaceSpeed("draws of the traffic grid", times->draws(),
                                    [&](std::int32_t r, std::size_t v) -> std::optional<double> {
                                      if (!times->HasAll(v)) return std::nullopt;
                                      return MixTokensPerS(*times, r, v, mix);
                                    });
  return mixed;
}

}  // namespace uaqf::ranking
