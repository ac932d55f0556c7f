// Codes by the largest magnitude of what shares a scale: what round-to-nearest and ZeroQuant have in common.
//
//   scale = max(absmax, 1e-5) / steps      code = rint(w / scale), halves to even, kept within the bits
#pragma once

#include <cstdint>
#include <span>

#include "kernels/thread_pool.h"
#include "worker/quantize/quantized_matrix.h"

namespace uaqf::quantize {

// With kGroup a scale is a group's, rounded to FP16 before the codes are computed, since that is what decoding
// multiplies by; else that of one of `runs` runs of whole rows, which differ by a row where they do not divide the
// rows. `weights` holds rows * columns finite values, a group size divides `columns`, and `runs` is 1 to `rows`. The
// result does not depend on the number of lanes.
QuantizedMatrix QuantizeByAbsmax(const Variant& variant, int steps, int64_t runs, std::span<const float> weights,
                                 int64_t rows, int64_t columns, kernels::ThreadPool& pool);

}  // namespace uaqf::quantize
