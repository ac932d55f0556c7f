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
#include <vector>

#include "kernels/thread_pool.h"
#include "worker/quantize/variants.h"

namespace uaqf::quantize {

// A matrix [rows, columns], row-major, one code a byte. Codes are within +-127 for 8 bits and +-7 for 4.
struct RtnMatrix {
  std::vector<int8_t> codes;
  std::vector<float> scales;           // 1 for kTensor, `rows` for kChannel, empty for kGroup
  std::vector<uint16_t> group_scales;  // FP16 bits, [rows, columns / group_size] for kGroup, else empty
};

// `variant.method` is kRtn, `weights` holds rows * columns finite values, and a group size divides `columns`: callers
// check with FitsModel. The result does not depend on the number of lanes.
RtnMatrix QuantizeRtn(const Variant& variant, std::span<const float> weights, int64_t rows, int64_t columns,
                      kernels::ThreadPool& pool);

}  // namespace uaqf::quantize
