// A linear layer of a compressed-tensors release (llm-compressor), b = 4 or 8 bits a weight.
//
//   pack-quantized
//     weight_packed      I32 [out, ceil(in * b / 32)]  code + 2^(b-1), the 32 / b inputs of a word from its low bits up
//     weight_shape       I64 [2]                       out, in
//     weight_zero_point  I32 [ceil(out * b / 32), groups]  asymmetric; packed along the outputs in the same way
//   int-quantized
//     weight             I8 [out, in]
//     weight_zero_point  I8 [out, groups]              asymmetric
//   both
//     weight_scale       F16, BF16 or F32: [1], [out, 1] or [out, groups]
//     weight_g_idx       I32 [in]                      group of each input; with actorder
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "worker/model/quantization_config.h"
#include "worker/model/raw_tensor.h"
#include "worker/model/stored_matrix.h"

namespace uaqf::model {

struct CompressedLayer {
  RawTensor weight;  // weight_packed, or weight
  RawTensor scale;
  std::optional<RawTensor> zero_point;
  std::optional<RawTensor> g_idx;
};

// Rows of the layer of [rows, columns] = [out, in]. INVALID_ARGUMENT when a tensor has another type or shape than that
// asks for, is missing, a scale is not finite or, of a group, no FP16 number, or g_idx makes no groups.
absl::StatusOr<StoredMatrix> ReadCompressed(const CompressedLayer& layer, const QuantizationConfig& config,
                                            int64_t rows, int64_t columns, RowRange range);

}  // namespace uaqf::model
