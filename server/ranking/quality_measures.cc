#include "server/ranking/quality_measures.h"

#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "server/ranking/statistics.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

using ByItem = absl::flat_hash_map<std::int32_t, double>;

double PerToken(const WindowColumns& w, std::size_t k) { return w.nll_sum[k] / w.scored_tokens[k]; }

void FillLikelihoods(const WindowColumns& w, std::vector<VariantMeasures>* measures) {
  std::vector<Moments> nll(measures->size());
  for (std::size_t k = 0; k < w.variant.size(); ++k) {
    VariantMeasures& out = (*measures)[w.variant[k]];
    ++out.windows;
    const double value = PerToken(w, k);
    if (std::isfinite(value)) {
      nll[w.variant[k]].Add(value);
    } else if (out.quality_problem.empty()) {
      out.quality_problem =
          absl::StrFormat("the likelihood of window %d is %g, expected a finite number: the variant has collapsed",
                          w.window[k], w.nll_sum[k]);
    }
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    VariantMeasures& out = (*measures)[v];
    if (nll[v].count() == 0 || !out.quality_problem.empty()) continue;
    out.nll = nll[v].mean();
    const double perplexity = std::exp(*out.nll);
    if (std::isfinite(perplexity)) {
      out.perplexity = perplexity;
    } else {
      out.quality_problem =
          absl::StrFormat("a loss of %g nats per token has no finite perplexity: the variant has collapsed", *out.nll);
    }
  }
}

// Differences to the baseline on the windows both have.
void FillLosses(const WindowColumns& w, std::int32_t baseline, std::vector<VariantMeasures>* measures) {
  if (!(*measures)[baseline].nll) return;
  struct Pair {
    Moments difference, own, reference;
  };
  ByItem reference;
  for (std::size_t k = 0; k < w.variant.size(); ++k) {
    if (w.variant[k] == baseline) reference[w.window[k]] = PerToken(w, k);
  }
  std::vector<Pair> pairs(measures->size());
  for (std::size_t k = 0; k < w.variant.size(); ++k) {
    const auto found = reference.find(w.window[k]);
    if (found == reference.end()) continue;
    Pair& pair = pairs[w.variant[k]];
    pair.own.Add(PerToken(w, k));
    pair.reference.Add(found->second);
    pair.difference.Add(PerToken(w, k) - found->second);
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    VariantMeasures& out = (*measures)[v];
    if (!out.nll || pairs[v].difference.count() == 0) continue;
    out.delta_nll = Estimate{pairs[v].difference.mean(), pairs[v].difference.HalfWidth()};
    const double change = std::exp(pairs[v].own.mean()) - std::exp(pairs[v].reference.mean());
    if (out.perplexity && std::isfinite(change)) out.delta_perplexity = change;
  }
}

void FillOutputLengths(const GenerationColumns& g, std::int32_t baseline, std::vector<VariantMeasures>* measures) {
  ByItem reference;
  for (std::size_t k = 0; k < g.variant.size(); ++k) {
    if (g.variant[k] == baseline) reference[g.item[k]] = g.output_tokens[k];
  }
  std::vector<Moments> differences(measures->size());
  for (std::size_t k = 0; k < g.variant.size(); ++k) {
    const auto found = reference.find(g.item[k]);
    if (found != reference.end()) differences[g.variant[k]].Add(g.output_tokens[k] - found->second);
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    if (differences[v].count() == 0) continue;
    (*measures)[v].output_length_change = Estimate{differences[v].mean(), differences[v].HalfWidth()};
  }
}

}  // namespace

void MeasureQuality(const Measurements& measurements, std::vector<VariantMeasures>* measures) {
  FillLikelihoods(measurements.windows, measures);
  const std::int32_t baseline = BaselineIndex(measurements);
  if (baseline < 0) return;
  FillLosses(measurements.windows, baseline, measures);
  FillOutputLengths(measurements.generations, baseline, measures);
}

}  // namespace uaqf::ranking
