// One generation at batch 1, timed stage by stage (METHODS 1, paper 4.2.2).
//
//   |-- tokenize --|-- prefill, first token --|-- gap --|-- gap --| ... |-- detokenize --|
//   '----------------------------------- latency ------------------------------------'
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/measure/clock.h"
#include "worker/measure/text_model.h"
#include "worker/measure/types.h"

namespace uaqf::measure {

// What a generation gave, with all a person may want to see.
struct GeneratedText {
  Timing timing;
  // Tokens fed.
  std::vector<int32_t> input_ids;
  // Tokens emitted; an end token that stopped the generation is not among them.
  std::vector<int32_t> output_ids;
  std::string text;
  // An end token stopped it.
  bool stopped = false;
};

// Prepares the input outside of the timed region, then runs and times one generation. In `timing`, output_tokens
// counts every token that was computed, hence also the end token of a natural generation; `output_digest` is over
// `output_ids`. Memory for the clock readings is taken before the region begins.
// INVALID_ARGUMENT: an input that the model refuses, or that leaves no room for the output. CANCELLED: on request.
[[nodiscard]] absl::StatusOr<GeneratedText> TimeGeneration(TextModel& model, Clock& clock, const Prompt& prompt,
                                                           const GenerationRequest& request);

}  // namespace uaqf::measure
