// Round to nearest (METHODS.md 3.1): symmetric, no calibration.
//
//   scale = max(absmax, 1e-5) / (2^(bits-1) - 1)       code = rint(w / scale), halves to even
//
// absmax is over the matrix, the row, or the group. A group's scale is rounded to FP16, and the codes are computed with
// the rounded scale, since that is what decoding multiplies by. The weights are the FP16 baseline's, so values that
// FP16 holds exactly; from there on all arithmetic is FP32 (references that divide in FP16 differ by one code at ties).
#pragma once

#include <cstdint>
#include <span>

#include "kernels/thread_pool.h"
#include "worker/quantize/quantized_matrix.h"

namespace uaqf::quantize {

// `variant.method` is kRtn, `weights` holds rows * columns finite values, and a group size divides `columns`: callers
// check with FitsModel. The result does not depend on the number of lanes.
QuantizedMatrix QuantizeRtn(const Variant& variant, std::span<const float> weights, int64_t rows, int64_t columns,
                            kernels::ThreadPool& pool);

}  // namespace uaqf::quantize
