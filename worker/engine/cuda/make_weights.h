// Weights made on the device: from FP32 rows of a checkpoint or a synthetic model's recipe to FP16, and from FP16 to
// codes by round-to-nearest, the same values that worker/quantize gives.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/status.h"
#include "worker/model/random_tensor.h"
#include "worker/quantize/variants.h"

namespace uaqf::engine::device {

// FP16 of `count` values; *bad becomes 1 where one is not finite or beyond FP16.
cuda::Status ToFp16(const float* in, int64_t count, __half* out, int32_t* bad, cudaStream_t stream);

// Values [first, first + count) of the tensor, as FP16 or FP32.
cuda::Status Fill(const model::RandomTensor& tensor, uint64_t first, int64_t count, __half* out, cudaStream_t stream);

// A matrix [rows, cols] quantized as `variant` says (method RTN). `scales`: 1 for kTensor, [rows] for kChannel.
// `group_scales`: [rows, cols / group]. `row_absmax`: [rows], scratch.
struct RtnOutput {
  int8_t* codes = nullptr;
  float* scales = nullptr;
  __half* group_scales = nullptr;
  float* row_absmax = nullptr;
};
cuda::Status QuantizeRtn(const quantize::Variant& variant, const __half* weights, int rows, int cols, RtnOutput out,
                         cudaStream_t stream);

}  // namespace uaqf::engine::device
