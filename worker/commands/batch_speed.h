// Speed of one engine with several sequences at once.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/measure/clock.h"

namespace uaqf::commands {

struct BatchSpeed {
  int64_t batch = 0;
  int64_t prefill_ns = 0;   // of all prompts, one after the other
  int64_t decode_ns = 0;    // of all steps
  double tokens_per_s = 0;  // decoded, of all sequences together
  bool repeats = true;      // whether every run chose the same tokens
};

// The median of so many generations, after one that is not counted. All prompts have `input_tokens` ids, those of each
// sequence others; each sequence decodes `output_tokens`, of which the prefill chooses the first. The engine must have
// been made for such a batch and so many tokens.
[[nodiscard]] absl::StatusOr<BatchSpeed> MeasureBatch(engine::Engine& engine, int64_t vocab, int64_t batch,
                                                      int input_tokens, int output_tokens, int repeats,
                                                      measure::Clock& clock);

}  // namespace uaqf::commands
