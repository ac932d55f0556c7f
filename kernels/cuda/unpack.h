// From packed weights back to rows, for prefill where the tensor cores cannot take them packed: a block of weights at a
// time in the order it has in memory, so that it runs at the speed of the cache that takes the result.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

// Logical rows [begin, end) of an integer matrix whose columns are a multiple of 8, contiguous and 16-byte aligned:
// code less zero, times scale, rounded to FP16, or the codes. Columns as they stand in the matrix, whatever its order.
Status UnpackRows(const MatrixView& matrix, int begin, int end, __half* out, cudaStream_t stream);
Status UnpackCodes(const MatrixView& matrix, int begin, int end, int8_t* out, cudaStream_t stream);

}  // namespace uaqf::cuda
