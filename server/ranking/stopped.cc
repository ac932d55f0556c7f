#include "server/ranking/stopped.h"

#include <algorithm>
#include <set>
#include <utility>

#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

// Keeps the rows of timings and windows for which `keep(variant, unit)` holds.
template <typename KeepTiming, typename KeepWindow>
void KeepWhere(Measurements* m, KeepTiming keep_timing, KeepWindow keep_window) {
  TimingColumns& t = m->timings;
  std::vector<bool> keep(t.variant.size());
  for (std::size_t k = 0; k < keep.size(); ++k) keep[k] = keep_timing(t.variant[k], t.item[k]);
  KeepRows(keep, &t);
  WindowColumns& w = m->windows;
  keep.resize(w.variant.size());
  for (std::size_t k = 0; k < keep.size(); ++k) keep[k] = keep_window(w.variant[k], w.window[k]);
  KeepRows(keep, &w);
}

// What each variant has records of.
std::vector<std::set<std::int32_t>> UnitsOf(const std::vector<std::int32_t>& variant,
                                            const std::vector<std::int32_t>& unit, std::size_t variants) {
  std::vector<std::set<std::int32_t>> units(variants);
  for (std::size_t k = 0; k < variant.size(); ++k) units[variant[k]].insert(unit[k]);
  return units;
}

bool Covers(const std::set<std::int32_t>& all, const std::set<std::int32_t>& some) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

}  // namespace

Measurements WithoutStopped(Measurements measurements) {
  const auto goes_on = [&](std::int32_t v, std::int32_t) { return measurements.variants[v].stopped.empty(); };
  KeepWhere(&measurements, goes_on, goes_on);
  return measurements;
}

absl::StatusOr<std::vector<StoppedVariant>> JudgeStopped(const Measurements& measurements,
                                                         const ResampleOptions& options) {
  const std::size_t variants = measurements.variants.size();
  const auto prompts = UnitsOf(measurements.timings.variant, measurements.timings.item, variants);
  const auto windows = UnitsOf(measurements.windows.variant, measurements.windows.window, variants);
  std::vector<StoppedVariant> judged;
  for (std::size_t v = 0; v < variants; ++v) {
    if (measurements.variants[v].stopped.empty() || prompts[v].empty()) continue;
    Measurements part = measurements;
    for (VariantFacts& facts : part.variants) facts.stopped.clear();  // at that time none was
    KeepWhere(
        &part,
        [&](std::int32_t other, std::int32_t item) {
          return Covers(prompts[other], prompts[v]) && prompts[v].count(item) > 0;
        },
        [&](std::int32_t other, std::int32_t window) {
          return Covers(windows[other], windows[v]) && windows[v].count(window) > 0;
        });
    auto common = KeepCommonRecords(std::move(part));
    if (!common.ok()) return common.status();
    auto measures = Measure(common->measurements);
    if (!measures.ok()) return measures.status();
    judged.push_back({v, *std::move(measures), PrepareDecision(common->measurements, options)});
  }
  return judged;
}

}  // namespace uaqf::ranking
