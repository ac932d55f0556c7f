// One item of a task set, answered by a hosted variant and scored.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/measure/text_model.h"
#include "worker/measure/types.h"

namespace uaqf::evaluate {

// Longest answer that is kept, bytes.
inline constexpr size_t kMostAnswerBytes = 16 << 10;

// Tokens that the item needs in the KV cache: its input and the longest output or choice. INVALID_ARGUMENT: no task,
// one that cannot be scored, or an input that the model refuses.
[[nodiscard]] absl::StatusOr<int32_t> TaskTokens(measure::TextModel& model, const measure::Prompt& prompt, bool chat);

// Generates greedily until an end token, a stop, or the task's limit, and scores the text before the stop. A stop that
// the text merely may be beginning ends nothing. INVALID_ARGUMENT as above, or no room in the KV cache. CANCELLED.
[[nodiscard]] absl::StatusOr<measure::TaskResult> AnswerByGeneration(measure::TextModel& model,
                                                                     const measure::Prompt& prompt,
                                                                     const measure::GenerationRequest& request);

// Negative log-likelihoods of window[1..], as engine::Engine::Score.
using ScoreWindowOf = std::function<absl::StatusOr<std::vector<double>>(std::span<const int32_t>)>;

// Takes the choice whose " " + label is the likeliest continuation of the prompt, without length normalisation. The
// prompt is plain text also where a chat is asked for: the label continues the text.
[[nodiscard]] absl::StatusOr<measure::TaskResult> AnswerByLikelihood(measure::TextModel& model,
                                                                     const measure::Prompt& prompt,
                                                                     const ScoreWindowOf& score);

}  // namespace uaqf::evaluate
