#include "server/ranking/article_measures.h"

#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

std::optional<double> Finite(double value) {
  return std::isfinite(value) ? std::optional<double>(value) : std::nullopt;
}

// Word perplexity of a variant and of the baseline on the articles both have.
struct Shared {
  double own = 0;
  double baseline = 0;
  double words = 0;
};

}  // namespace

void MeasureArticles(const Measurements& measurements, std::vector<VariantMeasures>* measures) {
  const ArticleColumns& a = measurements.articles;
  const std::int32_t baseline = BaselineIndex(measurements);
  absl::flat_hash_map<std::int32_t, double> reference;
  for (std::size_t k = 0; k < a.variant.size(); ++k) {
    if (a.variant[k] == baseline) reference[a.article[k]] = a.nll_sum[k];
  }
  std::vector<double> nll(measures->size());
  std::vector<Shared> shared(measures->size());
  for (std::size_t k = 0; k < a.variant.size(); ++k) {
    const std::int32_t v = a.variant[k];
    std::optional<ArticleMeasure>& out = (*measures)[v].articles;
    if (!out) out.emplace();
    ++out->articles;
    out->tokens += a.tokens[k];
    out->words += a.words[k];
    out->bytes += a.bytes[k];
    nll[v] += a.nll_sum[k];
    const auto found = reference.find(a.article[k]);
    if (found == reference.end()) continue;
    shared[v].own += a.nll_sum[k];
    shared[v].baseline += found->second;
    shared[v].words += a.words[k];
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    std::optional<ArticleMeasure>& out = (*measures)[v].articles;
    if (!out) continue;
    out->word_perplexity = Finite(std::exp(nll[v] / static_cast<double>(out->words)));
    out->byte_perplexity = Finite(std::exp(nll[v] / static_cast<double>(out->bytes)));
    out->bits_per_byte = Finite(nll[v] / static_cast<double>(out->bytes) / std::log(2.0));
    if (shared[v].words == 0) continue;
    out->delta_word_perplexity =
        Finite(std::exp(shared[v].own / shared[v].words) - std::exp(shared[v].baseline / shared[v].words));
  }
}

}  // namespace uaqf::ranking
