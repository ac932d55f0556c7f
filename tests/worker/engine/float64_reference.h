// The Llama family's forward pass in double precision, written from Hugging Face's definition on libtorch operations:
// it shares nothing with the engine but the checkpoint reader.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "worker/model/checkpoint.h"

namespace uaqf::test {

class Float64Reference {
 public:
  // Holds the whole model in double: for small ones.
  explicit Float64Reference(const model::Checkpoint& checkpoint);
  ~Float64Reference();

  // Replaces a weight matrix by `values`, for instance a dequantized one.
  void Replace(const std::string& name, std::span<const float> values);

  // From here on the input of every linear layer of a block is rounded to 255 steps a token (METHODS.md 3.1).
  void QuantizeActivations();

  // From here on keys and values are rounded to FP16, as the engine's KV cache holds them.
  void RoundCache();

  // Logits [ids.size()][vocab].
  std::vector<std::vector<double>> Logits(std::span<const int32_t> ids) const;
  // -log p(ids[i + 1] | ids[0..i]).
  std::vector<double> Nll(std::span<const int32_t> ids) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace uaqf::test
