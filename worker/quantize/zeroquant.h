// ZeroQuant (METHODS.md 3.5): INT8 by absmax / 128, where the largest positive weight of a group saturates to 127.
//
// A group of the published code is a run of whole output rows (kChannel here: what is stored is a scale a row, the same
// for the rows of a run). Groups along the inputs (kGroup) are what others mean by the name. Activations take the
// kernels' one grid, absmax / 127 a token, where the published code has absmax / 128 for them as well.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/thread_pool.h"
#include "worker/quantize/quantized_matrix.h"

namespace uaqf::quantize {

// `variant.method` is kZeroQuant, `weights` holds rows * columns finite values, and FitsModel holds. With fewer rows
// than row groups every row is a group; runs differ by a row where the groups do not divide the rows. The result does
// not depend on the number of lanes.
QuantizedMatrix QuantizeZeroQuant(const Variant& variant, std::span<const float> weights, int64_t rows, int64_t columns,
                                  kernels::ThreadPool& pool);

}  // namespace uaqf::quantize
