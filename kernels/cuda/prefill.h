// What stands between the matrix products of a prefill: many tokens at once. Activations are FP16 row-major
// [tokens, width], the residual stream FP32. All pointers are device memory, borrowed; all calls are asynchronous on
// the stream, allocate nothing and may be captured. Widths are multiples of 8 and pointers 16-byte aligned; what a
// matrix product leaves is in the logical row order of layout.h.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

// residual[t] = row ids[t] of an FP16 embedding; ids must lie in its rows.
Status EmbedTokens(const MatrixView& embedding, const int32_t* ids, int tokens, float* residual, cudaStream_t stream);

// out[t] = residual[t] / sqrt(mean(residual[t]^2) + epsilon) * weight, rounded to FP16.
Status RmsNormRows(const float* residual, const float* weight, int tokens, int hidden, float epsilon, __half* out,
                   cudaStream_t stream);

// Symmetric INT8 per token, as in decode: scale = max(absmax, 1e-5) / 127, codes rounded half to even. codes [tokens,
// width], scales [tokens].
Status QuantizeRows(const __half* values, int tokens, int width, int8_t* codes, float* scales, cudaStream_t stream);
// The norm and the quantization in one, without rounding to FP16 between them.
Status RmsNormQuantizeRows(const float* residual, const float* weight, int tokens, int hidden, float epsilon,
                           int8_t* codes, float* scales, cudaStream_t stream);

// out[t, r] = sums[t, r] * row_scales[r] * token_scales[t]: what follows an INT8 product. [tokens, rows].
Status ScaleInt32(const int32_t* sums, const float* row_scales, const float* token_scales, int tokens, int rows,
                  __half* out, cudaStream_t stream);

struct RopeShape {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int capacity = 0;  // of the caches
};

// qkv [tokens, (heads + 2 kv_heads) * head_dim] of positions first .. : adds the bias (FP32 [width] or null), turns
// queries in place, and writes turned keys and values into caches [kv_heads][capacity][head_dim].
// first + tokens <= capacity. cos, sin: FP32 [position][head_dim / 2], from position 0 on.
Status RopeAndCache(const RopeShape& shape, int first, int tokens, const float* cosine, const float* sine,
                    const float* bias, __half* qkv, __half* keys, __half* values, cudaStream_t stream);

// out[t, i] = silu(gate) * up, gate_up [tokens, 2 ff] = gate, then up; bias FP32 [2 ff] or null.
Status SiluMulRows(const __half* gate_up, const float* bias, int tokens, int ff, __half* out, cudaStream_t stream);

// residual += values (+ bias FP32 [width], or null).
Status AddResidual(const __half* values, const float* bias, int tokens, int width, float* residual,
                   cudaStream_t stream);

struct PrefillAttentionShape {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 16, at most 256
  int capacity = 0;
  int window = 0;   // 0: all
  float scale = 0;  // usually 1 / sqrt(head_dim)
};

// Causal attention of tokens at positions first .. first + tokens - 1 over a cache that holds them and all before them.
// query: [tokens][query_stride], heads first; out [tokens, heads * head_dim].
Status PrefillAttention(const PrefillAttentionShape& shape, int first, int tokens, const __half* query,
                        int64_t query_stride, const __half* keys, const __half* values, __half* out,
                        cudaStream_t stream);

}  // namespace uaqf::cuda
