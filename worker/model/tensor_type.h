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

// The value of an FP16 number.
float HalfToFloat(uint16_t bits);

// Parts of the K formats' blocks that more than one reader takes apart. Group `i` of 8 in the 12 bytes of a Q4_K
// block's scales, and the code of an element of a Q6_K block.
struct Q4KScale {
  uint8_t scale;
  uint8_t min;
};
Q4KScale UnpackQ4KScale(const uint8_t* scales, int i);
int8_t Q6KCode(const uint8_t* block, int element);

// Writes the exact FP32 value of every element (bit-equal to ggml's reference). `bytes` holds exactly
// BytesOf(out.size()). Needs no alignment of `bytes`. Thread-safe.
void ToFloat(TensorType type, std::span<const uint8_t> bytes, std::span<float> out);

}  // namespace uaqf::model
