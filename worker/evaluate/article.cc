#include "worker/evaluate/article.h"

#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/tasks/wikitext.h"

namespace uaqf::evaluate {

absl::StatusOr<double> ScoreArticle(engine::Engine& engine, std::span<const int32_t> ids, int32_t prefix,
                                    int32_t context_tokens) {
  if (ids.empty()) return absl::InvalidArgumentError("an article without a token, expected some text");
  if (context_tokens < 2 || context_tokens + 1 > engine.max_sequence_tokens()) {
    return absl::InvalidArgumentError(absl::StrCat("context of ", context_tokens, " tokens, expected 2 to ",
                                                   engine.max_sequence_tokens() - 1,
                                                   ", one less than the model is loaded for"));
  }
  double sum = 0;
  std::vector<int32_t> tokens;
  for (const RollingWindow& window : RollingWindows(static_cast<int64_t>(ids.size()), context_tokens)) {
    tokens.clear();
    if (window.prefix) tokens.push_back(prefix);
    const auto seen = ids.subspan(static_cast<size_t>(window.begin), static_cast<size_t>(window.count));
    tokens.insert(tokens.end(), seen.begin(), seen.end());
    const auto nll = engine.Score(tokens);
    if (!nll.ok()) return nll.status();
    sum = std::accumulate(nll->end() - window.scored, nll->end(), sum);
  }
  return sum;
}

absl::StatusOr<measure::ArticleScore> ScoreRawArticle(const OpenModel& model, engine::Engine& engine,
                                                      std::string_view article, int32_t context_tokens) {
  const int32_t bos = model.tokenizer().special().bos;
  const int32_t prefix = bos >= 0 || model.config().eos_ids.empty() ? bos : model.config().eos_ids[0];
  if (prefix < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.config().name, " has neither BOS nor EOS: expected one of them, which the first token is scored after"));
  }
  const auto ids = model.tokenizer().Encode(Detokenize(article), {.add_bos = false});
  if (!ids.ok()) return ids.status();
  const auto nll = ScoreArticle(engine, *ids, prefix, context_tokens);
  if (!nll.ok()) return nll.status();
  return measure::ArticleScore{static_cast<int32_t>(ids->size()), *nll, static_cast<int32_t>(ArticleWords(article)),
                               static_cast<int32_t>(ArticleBytes(article))};
}

}  // namespace uaqf::evaluate
