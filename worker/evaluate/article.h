// lm-eval's `wikitext` recipe on one article (worker/evaluate/tasks/wikitext.h): every token scored once, the first one
// after a token that no text contains.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/evaluate/open_model.h"
#include "worker/measure/types.h"

namespace uaqf::evaluate {

// Sum of the negative log-likelihoods of all `ids`, which have no BOS, nats. A forward pass reads at most
// `context_tokens` tokens, and the engine must hold one more: the last one scored. `prefix`: BOS, or EOS without one.
// INVALID_ARGUMENT: no token, or a context beyond what the engine holds.
[[nodiscard]] absl::StatusOr<double> ScoreArticle(engine::Engine& engine, std::span<const int32_t> ids, int32_t prefix,
                                                  int32_t context_tokens);

// The article as it stands in a raw WikiText file, its tokenization undone before it is scored. INVALID_ARGUMENT: a
// tokenizer with neither BOS nor EOS, and as above.
[[nodiscard]] absl::StatusOr<measure::ArticleScore> ScoreRawArticle(const OpenModel& model, engine::Engine& engine,
                                                                    std::string_view article, int32_t context_tokens);

}  // namespace uaqf::evaluate
