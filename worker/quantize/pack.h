// From the weights of one linear layer to the packed matrix that the kernels read, for any variant.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"
#include "worker/quantize/quantized_matrix.h"
#include "worker/quantize/variants.h"

namespace uaqf::quantize {

// Rounds `weights` [rows, columns] to FP16 in place: these are the baseline's, and what every method starts from.
// INVALID_ARGUMENT when one is not finite, or too large for FP16 (a BF16 or FP32 model may be).
absl::Status RoundToFp16(std::span<float> weights, kernels::ThreadPool& pool);

// The form that the kernels read. INVALID_ARGUMENT as CheckMatrix.
absl::StatusOr<kernels::PackedMatrix> Pack(const QuantizedMatrix& matrix);

// For variants that need no calibration. `weights` went through RoundToFp16, and FitsModel holds. Peak memory beside
// the result: one byte a weight and the scales (two bytes a weight for FP16).
absl::StatusOr<kernels::PackedMatrix> PackLinear(const Variant& variant, std::span<const float> weights, int64_t rows,
                                                 int64_t columns, kernels::ThreadPool& pool);

}  // namespace uaqf::quantize
