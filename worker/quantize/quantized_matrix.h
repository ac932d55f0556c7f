// The one form that every method ends in, and that artifacts and kernels begin from.
//
//   value[r, c] = scale(r, c) * (code[r, c] - zero(r, c))       column c meets input order[c]
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "worker/quantize/variants.h"

namespace uaqf::quantize {

// The weights of one linear layer, [rows = outputs, columns = inputs], row-major, one code a byte.
struct QuantizedMatrix {
  int bits = 8;  // 8 or 4
  Granularity granularity = Granularity::kChannel;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t group_size = 0;              // kGroup only, else 0; divides `columns`
  std::vector<int8_t> codes;           // within [-2^(bits-1), 2^(bits-1) - 1]
  std::vector<float> scales;           // 1 for kTensor, `rows` for kChannel, empty for kGroup
  std::vector<uint16_t> group_scales;  // FP16 bits [rows, groups] for kGroup, else empty
  std::vector<int8_t> zeros;           // [rows, groups], kGroup only; empty: all zero
  std::vector<int32_t> order;          // a permutation of the inputs; empty: as they come
  float input_scale = 0;               // of INT8 activations, where calibration fixed it; else 0

  int64_t groups() const { return group_size > 0 ? columns / group_size : 0; }
};

// INVALID_ARGUMENT when sizes disagree, a code or zero is out of range, a scale is no positive finite number, or the
// order is no permutation: what comes from a file is checked with it.
absl::Status CheckMatrix(const QuantizedMatrix& matrix);

// The matrices below each other that a kChannel or kGroup matrix is, `rows` being theirs.
std::vector<QuantizedMatrix> SplitRows(const QuantizedMatrix& matrix, std::span<const int64_t> rows);

// The linear layers of a block, in the order of its arrays.
enum class Projection { kQ, kK, kV, kO, kGate, kUp, kDown };
constexpr size_t kProjections = 7;
// As checkpoints name it: "self_attn.q_proj".
std::string_view ProjectionName(Projection projection);

// What a method makes of one block. Norms and biases are part of it, since methods fold scales into them.
struct QuantizedBlock {
  std::vector<float> attention_norm;
  std::vector<float> mlp_norm;
  std::array<QuantizedMatrix, kProjections> matrices;
  std::array<std::vector<float>, kProjections> biases;  // empty where the model has none
};

}  // namespace uaqf::quantize
