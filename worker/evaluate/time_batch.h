// A batch of generations, timed stage by stage as measure::TimeGeneration times one, and what it has to read and
// compute.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/measure/clock.h"
#include "worker/measure/text_model.h"
#include "worker/measure/types.h"
#include "worker/model/model_config.h"

namespace uaqf::evaluate {

// Inputs are brought to their length outside of the timed region. `text_model` is of the model that `engine` hosts; its
// own engine is not used. `limits` and work are left 0. INVALID_ARGUMENT: an input that the model refuses, or a
// sequence that does not fit. CANCELLED: on request.
[[nodiscard]] absl::StatusOr<measure::TrafficTiming> TimeBatch(measure::TextModel& text_model, engine::Engine& engine,
                                                               measure::Clock& clock,
                                                               const measure::BatchRequest& request);

// A prefill of `batch` sequences one after the other, and the steps that then emit all but the first of
// `output_tokens`.
struct BatchWork {
  measure::Work prefill;
  measure::Work decode;
};
[[nodiscard]] BatchWork WorkOf(const model::ModelConfig& config, const engine::Engine& engine, int64_t batch,
                               int64_t input_tokens, int64_t output_tokens);

// Multiply-adds of a prefill of `tokens`, times two: the linear layers for each token, attention over what each token
// sees, the LM head once.
[[nodiscard]] double PrefillOperations(const model::ModelConfig& config, int64_t tokens);

}  // namespace uaqf::evaluate
