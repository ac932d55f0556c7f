#include "server/ranking/task_measures.h"

#include <cmath>
#include <limits>
#include <map>
#include <type_traits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/ranking/binomial.h"
#include "server/ranking/statistics.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

// One metric of one variant, summed.
struct Sums {
  std::int32_t items = 0;
  std::int64_t passed = 0;
  std::int64_t made = 0;
  std::int32_t to_right = 0;
  std::int32_t to_wrong = 0;
  Moments change;
};

// Of its checks.
double ShareOf(const TaskColumns& t, std::size_t k) { return static_cast<double>(t.passed[k]) / t.made[k]; }

}  // namespace

void MeasureTasks(const Measurements& measurements, std::vector<VariantMeasures>* measures) {
  const TaskColumns& t = measurements.tasks;
  const std::int32_t baseline = BaselineIndex(measurements);
  absl::flat_hash_map<std::pair<std::int32_t, std::int32_t>, double> reference;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == baseline) reference[{t.item[k], t.metric[k]}] = ShareOf(t, k);
  }
  std::map<std::pair<std::int32_t, std::int32_t>, Sums> sums;  // by variant and metric
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    Sums& sum = sums[{t.variant[k], t.metric[k]}];
    ++sum.items;
    sum.passed += t.passed[k];
    sum.made += t.made[k];
    const auto found = reference.find({t.item[k], t.metric[k]});
    if (found == reference.end()) continue;
    sum.change.Add(ShareOf(t, k) - found->second);
    // An item is right when all of its checks passed.
    const bool right = t.passed[k] == t.made[k], was_right = found->second == 1;
    if (right != was_right) ++(was_right ? sum.to_wrong : sum.to_right);
  }
  for (const auto& [key, sum] : sums) {
    const auto& [variant, metric] = key;
    TaskMeasure measure{metric, sum.items, static_cast<double>(sum.passed) / static_cast<double>(sum.made), {}, {},
                        {},     {}};
    if (!reference.empty() && variant != baseline) {
      measure.flips_to_right = sum.to_right;
      measure.flips_to_wrong = sum.to_wrong;
      measure.flip_p_value = FlipPValue(sum.to_right, sum.to_wrong);
      if (sum.change.count() > 0) measure.score_change = Estimate{sum.change.mean(), sum.change.HalfWidth()};
    }
    (*measures)[variant].tasks.push_back(measure);
  }
}

Measurements KeepTightestBounds(Measurements measurements) {
  const DivergenceColumns& d = measurements.divergences;
  const std::size_t rows = d.variant.size();
  if (d.window.size() != rows || d.kl_sum.size() != rows || d.kl_upper_sum.size() != rows ||
      d.summary_k.size() != rows) {
    return measurements;  // Measure says what is wrong
  }
  // The least first: exact, then the narrowest; what is no number last.
  const auto rank = [&d](std::size_t k) {
    const double width = d.kl_upper_sum[k] - d.kl_sum[k];
    return std::make_pair(d.summary_k[k] > 0, std::isnan(width) ? std::numeric_limits<double>::infinity() : width);
  };
  absl::flat_hash_map<std::pair<std::int32_t, std::int32_t>, std::size_t> best;
  for (std::size_t k = 0; k < rows; ++k) {
    const auto [found, added] = best.try_emplace(std::make_pair(d.variant[k], d.window[k]), k);
    // Two exact rows contradict each other: they are left to Measure.
    if (!added && rank(k) < rank(found->second)) found->second = k;
  }
  if (best.size() == rows) return measurements;
  const auto kept = [&](std::size_t k) { return d.summary_k[k] == 0 || best.at({d.variant[k], d.window[k]}) == k; };
  const auto filter = [&](const auto& column) {
    std::decay_t<decltype(column)> out;
    for (std::size_t k = 0; k < column.size(); ++k) {
      if (kept(k)) out.push_back(column[k]);
    }
    return out;
  };
  measurements.divergences = {filter(d.variant),    filter(d.window),       filter(d.positions),
                              filter(d.kl_sum),     filter(d.same_top),     filter(d.top_k),
                              filter(d.shared_top), filter(d.kl_upper_sum), filter(d.summary_k)};
  return measurements;
}

void MeasureDivergence(const Measurements& measurements, std::vector<VariantMeasures>* measures) {
  struct Totals {
    double lower = 0;
    double upper = 0;
    bool exact = true;
    std::int64_t same_top = 0;
    std::int64_t shared_top = 0;
    Moments lower_windows;
    Moments upper_windows;
  };
  const DivergenceColumns& d = measurements.divergences;
  std::vector<Totals> totals(measures->size());
  for (std::size_t k = 0; k < d.variant.size(); ++k) {
    std::optional<DivergenceMeasure>& out = (*measures)[d.variant[k]].divergence;
    if (!out) out.emplace();
    out->positions += d.positions[k];
    out->top_k = d.top_k[k];
    Totals& total = totals[d.variant[k]];
    total.lower += d.kl_sum[k];
    total.upper += d.kl_upper_sum[k];
    total.exact = total.exact && d.summary_k[k] == 0;
    total.same_top += d.same_top[k];
    total.shared_top += d.shared_top[k];
    total.lower_windows.Add(d.kl_sum[k] / d.positions[k]);
    total.upper_windows.Add(d.kl_upper_sum[k] / d.positions[k]);
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    std::optional<DivergenceMeasure>& out = (*measures)[v].divergence;
    if (!out) continue;
    const auto positions = static_cast<double>(out->positions);
    if (std::isfinite(totals[v].lower) && std::isfinite(totals[v].upper)) {
      out->kl_lower = Estimate{totals[v].lower / positions, totals[v].lower_windows.HalfWidth()};
      out->kl_upper = Estimate{totals[v].upper / positions, totals[v].upper_windows.HalfWidth()};
      if (totals[v].exact) out->kl = out->kl_lower;
    }
    out->same_top = static_cast<double>(totals[v].same_top) / positions;
    out->top_agreement = static_cast<double>(totals[v].shared_top) / (positions * out->top_k);
  }
}

}  // namespace uaqf::ranking
