#include "server/ranking/twin.h"

#include <algorithm>
#include <set>
#include <utility>

#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

bool HasGroupAndProcess(const TimingColumns& t) {
  const std::size_t n = t.variant.size();
  return t.group.size() == n && t.process.size() == n && t.item.size() == n && t.repeat.size() == n &&
         t.output_tokens.size() == n && t.latency_ns.size() == n && t.prefill_ns.size() == n && t.decode_ns.size() == n;
}

void Add(const TimingColumns& from, std::size_t k, std::int32_t variant, TimingColumns* to) {
  to->variant.push_back(variant);
  to->item.push_back(from.item[k]);
  to->repeat.push_back(from.repeat[k]);
  to->output_tokens.push_back(from.output_tokens[k]);
  to->latency_ns.push_back(from.latency_ns[k]);
  to->prefill_ns.push_back(from.prefill_ns[k]);
  to->decode_ns.push_back(from.decode_ns[k]);
}

TwinRecords PairOf(const Measurements& m, std::int32_t baseline, std::int32_t twin, std::int32_t block_prompts) {
  TwinRecords out;
  out.block_prompts = std::max(1, block_prompts);
  out.pair.variants = {m.variants[baseline], m.variants[twin]};
  const TimingColumns& t = m.timings;
  // Only an fp16 of the same group ran in turns with the twin.
  std::set<std::int32_t> groups, twin_processes, baseline_processes;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == twin) groups.insert(t.group[k]);
  }
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    const bool is_twin = t.variant[k] == twin;
    if (!is_twin && (t.variant[k] != baseline || groups.count(t.group[k]) == 0)) continue;
    Add(t, k, is_twin ? 1 : 0, &out.pair.timings);
    (is_twin ? twin_processes : baseline_processes).insert(t.process[k]);
  }
  out.separate_processes = std::none_of(twin_processes.begin(), twin_processes.end(),
                                        [&](std::int32_t process) { return baseline_processes.count(process) > 0; });
  return out;
}

void RemoveVariant(std::int32_t variant, Measurements* m) {
  m->variants.erase(m->variants.begin() + variant);
  TimingColumns& t = m->timings;
  std::vector<bool> keep(t.variant.size());
  for (std::size_t k = 0; k < keep.size(); ++k) keep[k] = t.variant[k] != variant;
  KeepRows(keep, &t);
  EnergyColumns& e = m->energies;
  keep.resize(e.variant.size());
  for (std::size_t k = 0; k < keep.size(); ++k) keep[k] = e.variant[k] != variant;
  KeepRows(keep, &e);
}

}  // namespace

SplitRecords SplitTwin(Measurements measurements, std::int32_t block_prompts, std::vector<std::int32_t> places) {
  SplitRecords split;
  const auto& variants = measurements.variants;
  const std::int32_t baseline = BaselineIndex(measurements);
  // It stands behind all others, so that removing it renumbers none.
  const bool has_twin = baseline >= 0 && variants.back().name == kTwin;
  if (has_twin && HasGroupAndProcess(measurements.timings)) {
    const auto twin = static_cast<std::int32_t>(variants.size()) - 1;
    split.twin = PairOf(measurements, baseline, twin, block_prompts);
    split.twin->places = std::move(places);
    RemoveVariant(twin, &measurements);
  }
  measurements.timings.process.clear();
  split.ranked = std::move(measurements);
  return split;
}

}  // namespace uaqf::ranking
