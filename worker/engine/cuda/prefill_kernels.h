// What stands between the matrix products of a prefill, on [tokens, width] row-major activations. Pointers are device
// memory, at least 16-byte aligned; widths are multiples of 8. Launches are asynchronous on `stream`; a Status tells of
// the launch only. All sums are FP32 in a fixed order.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/status.h"

namespace uaqf::engine::device {

// Activations quantized per token: value = codes * scale, scale = max(absmax, 1e-5) / 127, halves to even.
struct Int8Rows {
  int8_t* codes = nullptr;  // [tokens, width]
  float* scales = nullptr;  // [tokens]
  int padded_tokens = 0;    // not 0: codes are in the order of kernels/cuda/prefill/staged.h, with so many tokens
};
// FP16 activations, the same.
struct Fp16Rows {
  __half* values = nullptr;
  int padded_tokens = 0;
};

// residual[t] = table[ids[t]]; rows of the table are `stride` elements apart.
cuda::Status Embed(const __half* table, int64_t stride, const int32_t* ids, int tokens, int width, float* residual,
                   cudaStream_t stream);

// RMSNorm of FP32 rows, to FP16 or to INT8; width at most 8192.
cuda::Status NormFp16(const float* in, const float* weight, int tokens, int width, float epsilon, Fp16Rows out,
                      cudaStream_t stream);
cuda::Status NormInt8(const float* in, const float* weight, int tokens, int width, float epsilon, Int8Rows out,
                      cudaStream_t stream);

cuda::Status QuantizeRows(const __half* in, int tokens, int width, Int8Rows out, cudaStream_t stream);
cuda::Status CopyRows(const __half* in, int tokens, int width, Fp16Rows out, cudaStream_t stream);

// gate_up [tokens, 2 width]: silu(gate) * up. `bias` [2 width] or null.
cuda::Status GatedFp16(const __half* gate_up, const float* bias, int tokens, int width, Fp16Rows out,
                       cudaStream_t stream);
cuda::Status GatedInt8(const __half* gate_up, const float* bias, int tokens, int width, Int8Rows out,
                       cudaStream_t stream);

// residual += in + bias (or null).
cuda::Status AddTo(float* residual, const __half* in, const float* bias, int tokens, int width, cudaStream_t stream);

// out[t, r] = (sums[t, r] * row_scales[r]) * token_scales[t]; rows of `out` are `stride` elements apart.
cuda::Status Dequantize(const int32_t* sums, const float* row_scales, const float* token_scales, int tokens, int rows,
                        __half* out, int64_t stride, cudaStream_t stream);

// The lowest id of the largest logit; a NaN never wins.
cuda::Status ArgMax(const float* logits, int vocab, int32_t* id, cudaStream_t stream);

// nll[t] = -log softmax(logits[t])[targets[t]], logits [tokens, vocab].
cuda::Status NegativeLogLikelihoods(const float* logits, const int32_t* targets, int tokens, int vocab, double* nll,
                                    cudaStream_t stream);

// *mapped = *token, seen by the host after everything before it on the stream.
cuda::Status Publish(const int32_t* token, int32_t* mapped, cudaStream_t stream);

}  // namespace uaqf::engine::device
