// Brings an input to an exact number of tokens.
//
// Where the prompt has too few, seeded prose and a blank line go in front of it, inside its chat turn; where it has too
// many, its end is cut off, the template's closing kept:
//
//   head of the template | prose, first tokens erased until it fits | blank line | prompt | rest of the template
//   head of the template | prompt, last tokens erased until it fits                       | rest of the template
//
// Whole words rarely give the exact count, so the text is made slightly too long ahead of time and the few surplus
// tokens are erased after encoding: what is timed is the encoding of a real text of that length.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/measure/text_model.h"
#include "worker/measure/types.h"

namespace uaqf::measure {

// A prompt made ready outside of the timed region.
struct PreparedInput {
  Prompt prompt;
  bool chat = false;
  // Tokens to erase after encoding, and where.
  int32_t erase_at = 0;
  int32_t erase_count = 0;
  // Tokens that then remain.
  int32_t tokens = 0;
};

// Prepares `prompt` for `request.input_tokens` (0: as it is). INVALID_ARGUMENT: what Encode refuses, or a length that
// the template alone exceeds.
[[nodiscard]] absl::StatusOr<PreparedInput> PrepareInput(TextModel& model, const Prompt& prompt,
                                                         const GenerationRequest& request);

// Encodes a prepared input; the result has exactly `input.tokens` tokens.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> EncodeInput(TextModel& model, const PreparedInput& input);

}  // namespace uaqf::measure
