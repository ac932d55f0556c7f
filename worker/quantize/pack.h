// From one linear layer, as weights, a method's codes or those of a release, to the packed matrix that the kernels
// read.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"
#include "worker/model/stored_matrix.h"
#include "worker/quantize/quantized_matrix.h"
#include "worker/quantize/variants.h"

namespace uaqf::quantize {

// Rounds `weights` [rows, columns] to FP16 in place: these are the baseline's, and what every method starts from.
// INVALID_ARGUMENT when one is not finite, or too large for FP16 (a BF16 or FP32 model may be).
absl::Status RoundToFp16(std::span<float> weights, kernels::ThreadPool& pool);

// Nothing is rounded. INVALID_ARGUMENT as CheckMatrix.
absl::StatusOr<kernels::PackedMatrix> Pack(const QuantizedMatrix& matrix);

// The same of a quantized release. Zeros that are all zero are left out, and one symmetric group a row becomes a scale
// a row, which costs the products nothing. INVALID_ARGUMENT when a scale or an offset is not finite.
absl::StatusOr<kernels::PackedMatrix> Pack(const model::StoredMatrix& matrix);

// For variants that need no calibration. `weights` went through RoundToFp16, and FitsModel holds. Peak memory beside
// the result: one byte a weight and the scales (two bytes a weight for FP16).
absl::StatusOr<kernels::PackedMatrix> PackLinear(const Variant& variant, std::span<const float> weights, int64_t rows,
                                                 int64_t columns, kernels::ThreadPool& pool);

}  // namespace uaqf::quantize
