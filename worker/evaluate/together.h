// Prompts generated together, greedily and untimed, with a look at the logits that every token was chosen from.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/measure/evaluator.h"
#include "worker/measure/text_model.h"
#include "worker/measure/types.h"

namespace uaqf::evaluate {

// One prompt goes the way of Engine::Prefill, which is timed; several that of PrefillBatch. `model` is that engine's;
// both are borrowed for the call. INVALID_ARGUMENT: an input that the model refuses, or without room for the output.
// CANCELLED: on request.
[[nodiscard]] absl::StatusOr<std::vector<measure::GreedyOutput>> GenerateTogether(
    engine::Engine& engine, measure::TextModel& model, std::span<const measure::BatchPrompt> prompts,
    const measure::GenerationRequest& request);

}  // namespace uaqf::evaluate
