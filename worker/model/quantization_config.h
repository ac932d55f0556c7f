// How the linear layers of a Hugging Face folder are quantized: "quantization_config" of its config.json, or the
// quantize_config.json that older GPTQ releases have beside it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace uaqf::model {

enum class QuantizedFormat {
  kNone,
  kGptq,            // "gptq": stored zeros are one less than meant
  kGptqV2,          // "gptq_v2": stored zeros are meant
  kAwqGemm,         // "awq", version "gemm"
  kPackedIntegers,  // "compressed-tensors", "pack-quantized"
  kPlainIntegers,   // "compressed-tensors", "int-quantized" and "naive-quantized"
};

// What shares a scale: `group_size` inputs of a row; the row; the matrix.
enum class QuantizedScales { kGroup, kRow, kMatrix };

struct QuantizationConfig {
  QuantizedFormat format = QuantizedFormat::kNone;
  int bits = 0;  // of a weight: 4 or 8
  QuantizedScales scales = QuantizedScales::kGroup;
  int64_t group_size = 0;    // kGroup, a multiple of 8
  bool symmetric = true;     // compressed-tensors; false: files have zero points
  int activation_bits = 16;  // 8: INT8, one scale for each token, found as it is computed
  // "GPTQ 4-bit g128": for people, and that losses are relative to this release.
  std::string name;
};

// Columns that share a scale in a row of so many: all of them, rounded up to 8, where a row is one group.
int64_t GroupSizeOf(const QuantizationConfig& config, int64_t columns);

// `text` is JSON of "quantization_config" itself. INVALID_ARGUMENT for a method, format or width that this build does
// not read; the message says which it reads.
absl::StatusOr<QuantizationConfig> ParseQuantizationConfig(std::string_view text);

}  // namespace uaqf::model
