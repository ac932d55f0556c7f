#include "server/ranking/published.h"

#include <algorithm>

namespace uaqf::ranking {

std::vector<VariantMeasures> MeasuresOf(const std::vector<PublishedFigures>& figures) {
  const auto baseline =
      std::find_if(figures.begin(), figures.end(), [](const PublishedFigures& f) { return f.variant == kBaseline; });
  std::vector<VariantMeasures> measures;
  for (const PublishedFigures& published : figures) {
    VariantMeasures& m = measures.emplace_back();
    m.variant = published.variant;
    m.published = true;
    if (published.latency_s) m.latency_s = Estimate{*published.latency_s, std::nullopt};
    if (published.tokens_per_s) m.tokens_per_s = Estimate{*published.tokens_per_s, std::nullopt};
    m.delta_perplexity = published.delta_perplexity;
    m.memory_bytes = published.memory_bytes;
    if (published.tokens_per_s && baseline != figures.end() && baseline->tokens_per_s) {
      m.speedup = *published.tokens_per_s / *baseline->tokens_per_s;
    }
  }
  return measures;
}

}  // namespace uaqf::ranking
