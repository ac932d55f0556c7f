// How the numbers of a stored tensor are laid out, and their exact value in FP32.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

namespace uaqf::model {

// F32, F16 and BF16 are one element a block; the others are GGUF's block formats, along the rows.
enum class TensorType { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_1, kQ4_K, kQ6_K };

struct BlockShape {
  int64_t elements;  // in one block
  int64_t bytes;     // of one block
};

BlockShape BlockOf(TensorType type);
// "F16", "Q4_K", ...
std::string_view TypeName(TensorType type);
// All names, for messages: "F32, F16, ...".
std::string_view KnownTypeNames();
// True for the block formats: their file is itself a quantized release.
bool IsQuantized(TensorType type);

// Bytes of `elements` numbers. INVALID_ARGUMENT when they are no whole number of blocks or do not fit 63 bits.
absl::StatusOr<int64_t> BytesOf(TensorType type, int64_t elements);

// Writes the exact FP32 value of every element (bit-equal to ggml's reference). `bytes` holds exactly
// BytesOf(out.size()). Needs no alignment of `bytes`. Thread-safe.
void ToFloat(TensorType type, std::span<const uint8_t> bytes, std::span<float> out);

}  // namespace uaqf::model
