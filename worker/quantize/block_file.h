// A quantized block as the bytes of a safetensors file. Names are "PROJECTION.PART":
//
//   self_attn.q_proj.codes         I8 [rows, columns], or U8 [rows, columns / 2]: two INT4 codes a byte, code + 8, the
//                                  first in the low half
//                   .scales        F32 [1 or rows], or F16 [rows, groups]
//                   .zeros         I8 [rows, groups]         .order   I32 [columns]
//                   .input_scale   F32 [1]                   .bias    F32 [rows]
//   input_layernorm, post_attention_layernorm                         F32 [hidden]
//
// Metadata: "format" ("uaqf-block-1"), "key" (whose block it is), "block" (its index), "sha256" (over the table
// of tensors and their data).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "worker/quantize/quantized_matrix.h"

namespace uaqf::quantize {

std::string WriteBlock(const QuantizedBlock& block, const std::string& key, int64_t index);

// Whether `file` is what WriteBlock made, without taking it apart, by its checksum. DATA_LOSS: bytes that are damaged.
// FAILED_PRECONDITION: a whole block, but of another key or index.
absl::Status CheckBlock(std::span<const uint8_t> file, const std::string& key, int64_t index);

// Errors as above.
absl::StatusOr<QuantizedBlock> ReadBlock(std::span<const uint8_t> file, const std::string& key, int64_t index);

}  // namespace uaqf::quantize
