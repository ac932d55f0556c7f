#include "server/rpc/evidence_convert.h"

#include <algorithm>

namespace uaqf::rpc {

v1::EvidenceSummary ToProto(const ranking::EvidenceSummary& summary, const core::JobView& view) {
  v1::EvidenceSummary message;
  const std::size_t variants = std::min(summary.variants.size(), view.progress.variants.size());
  for (std::size_t v = 0; v < variants; ++v) {
    const ranking::VariantEvidence& from = summary.variants[v];
    v1::VariantEvidence& to = *message.add_variants();
    to.set_variant(view.progress.variants[v].variant);
    to.set_rejected(view.progress.variants[v].chunks_tainted);
    to.set_chunks(from.chunks);
    if (from.clock) {
      to.set_clock_mhz(from.clock->mean);
      to.set_clock_low_mhz(from.clock->low);
      to.set_clock_high_mhz(from.clock->high);
    }
    to.set_power_capped(from.power_capped);
    to.set_thermal(from.thermal);
    for (const std::string& slowdown : from.slowdowns) to.add_slowdowns(slowdown);
    if (from.highest_temperature_c) to.set_temperature_c(*from.highest_temperature_c);
    to.set_foreign_load(from.highest_foreign_load);
    to.set_involuntary_switches(from.involuntary_switches);
    to.set_mean_place(from.mean_place);
  }
  if (summary.drift) {
    message.mutable_drift()->set_value(summary.drift->value);
    if (summary.drift->half_width) message.mutable_drift()->set_half_width(*summary.drift->half_width);
  }
  message.set_imbalance(summary.imbalance);
  message.set_interleaved(summary.interleaved);
  return message;
}

}  // namespace uaqf::rpc
