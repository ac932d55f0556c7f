// Tokens with a meaning of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/tokenizer/vocabulary.h"

namespace uaqf::tokenizer {

// Ids; -1 where the model has none.
struct SpecialTokens {
  int32_t bos = -1;
  int32_t eos = -1;
  int32_t unknown = -1;
  // Does the model expect BOS at the start of a text?
  bool add_bos = false;
  // Every id that ends a generation, sorted: EOS, and end-of-turn tokens of chat models.
  std::vector<int32_t> stop;

  bool Stops(int32_t id) const;
};

// What the model's own description says, beside the tokenizer's files.
struct ModelTokens {
  int32_t bos = -1;
  std::vector<int32_t> eos;
};

// The ids in `eos` and every token of `vocabulary` that is known to end a turn ("<|im_end|>", "<|eot_id|>"), sorted.
std::vector<int32_t> CollectStopTokens(const Vocabulary& vocabulary, const std::vector<int32_t>& eos);

}  // namespace uaqf::tokenizer
