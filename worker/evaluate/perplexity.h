// Perplexity by the GPTQ recipe (METHODS 7.1): the whole text encoded once, BOS at its very start only, cut into
// disjoint windows of `context` tokens, the tail dropped, no BOS for a window; a window scores its tokens but the
// first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/measure/types.h"

namespace uaqf::evaluate {

// Whole windows in so many tokens. `context_tokens` >= 1.
int32_t WindowCount(int64_t tokens, int32_t context_tokens);

// The ids of window `index`. INVALID_ARGUMENT: a context below 2, no such window, or more than the engine holds.
[[nodiscard]] absl::StatusOr<std::span<const int32_t>> FindWindow(const engine::Engine& engine,
                                                                  std::span<const int32_t> ids, int32_t context_tokens,
                                                                  int32_t index);

// Scores window `index` of `ids`. INVALID_ARGUMENT: a context below 2, no such window, or more than the engine holds.
[[nodiscard]] absl::StatusOr<measure::WindowScore> ScoreWindow(engine::Engine& engine, std::span<const int32_t> ids,
                                                               int32_t context_tokens, int32_t index);

// The mean of window means, in nats per token. Needs one window.
double MeanNll(const std::vector<double>& window_nll);

// The text a set's pieces make: joined without a separator.
std::string JoinPieces(const measure::PromptSet& text);

// The lines of a raw WikiText file as the rows that the GPTQ recipe joins: "\n\n" between rows, a blank line is an
// empty row, any other keeps its line feed.
std::string JoinRows(std::string_view raw);

}  // namespace uaqf::evaluate
