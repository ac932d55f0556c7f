// A model from text to text, stage by stage: what the protocol times. The engine joined with a tokenizer is one; tests
// have another whose stages take the time they are told.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/measure/types.h"

namespace uaqf::measure {

// Greedy, batch 1. Every call returns with its result at hand, so that a clock read beside it tells the truth; nothing
// is left on the device, unless a generation was announced, whose next step may have begun.
class TextModel {
 public:
  // See BeginGeneration.
  class Generating {
   public:
    virtual ~Generating() = default;
  };

  virtual ~TextModel() = default;

  // Announces a generation of at most so many tokens; while the result lives, the model may prepare the next token
  // before it is asked for. The device is idle once it is gone. May be null.
  [[nodiscard]] virtual std::unique_ptr<Generating> BeginGeneration(int32_t) { return nullptr; }

  // Tokens of the prompt as the model is fed: BOS where it wants one, the chat template for `messages` and, with
  // `chat`, for `text`. INVALID_ARGUMENT: an empty prompt, invalid UTF-8, an unknown template.
  [[nodiscard]] virtual absl::StatusOr<std::vector<int32_t>> Encode(const Prompt& prompt, bool chat) = 0;
  // Forgets the sequence before, feeds `ids` and returns the most likely next token.
  [[nodiscard]] virtual absl::StatusOr<int32_t> Prefill(const std::vector<int32_t>& ids) = 0;
  // Appends `token` and returns the most likely next one.
  [[nodiscard]] virtual absl::StatusOr<int32_t> Decode(int32_t token) = 0;
  // Text of emitted tokens.
  [[nodiscard]] virtual absl::StatusOr<std::string> Detokenize(const std::vector<int32_t>& ids) = 0;
  // True for the tokens that end an answer.
  [[nodiscard]] virtual bool IsEnd(int32_t token) const = 0;
  // Most tokens of input and output together.
  [[nodiscard]] virtual int32_t max_sequence_tokens() const = 0;
};

}  // namespace uaqf::measure
