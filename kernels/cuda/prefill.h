// What stands between the matrix products of a prefill: many tokens at once, [tokens, width] row-major unless said, the
// residual stream FP32. Pointers are device memory, borrowed, 16-byte aligned; widths are multiples of 8. Calls are
// asynchronous on the stream, allocate nothing and may be captured; a Status tells of the launch only. Sums are FP32 in
// a fixed order. What a matrix product leaves is in the logical row order of layout.h.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/rounding.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

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
Status Embed(const __half* table, int64_t stride, const int32_t* ids, int tokens, int width, float* residual,
             cudaStream_t stream);

// RMSNorm of FP32 rows, to FP16 or to INT8; width at most 8192.
Status NormFp16(const float* in, const float* weight, int tokens, int width, float epsilon, Fp16Rows out,
                cudaStream_t stream);
Status NormInt8(const float* in, const float* weight, int tokens, int width, float epsilon, Int8Rows out,
                cudaStream_t stream);

Status QuantizeRows(const __half* in, int tokens, int width, Int8Rows out, cudaStream_t stream);
Status CopyRows(const __half* in, int tokens, int width, Fp16Rows out, cudaStream_t stream);

// Which input a column of a matrix meets: MatrixView has it.
struct RowOrdering {
  int inputs = 0;                   // width of a row of `in`
  int cols = 0;                     // of a row of `out`, a multiple of 8
  const int32_t* gather = nullptr;  // [cols], each below `inputs`; null: column c meets input c
};

// out[t, c] = in[t, gather[c]], rounded as `rounding` says.
Status OrderRows(const __half* in, int tokens, const RowOrdering& ordering, const Rounding& rounding, Fp16Rows out,
                 cudaStream_t stream);

// *scale (device memory) = max(absmax of all rows, 1e-5) / 127.
Status ScaleOfAll(const __half* in, int tokens, int width, float* scale, cudaStream_t stream);
// The same as QuantizeRows with one scale, *scale in device memory, for all tokens; what it does not reach is cut off.
Status QuantizeRowsBy(const __half* in, int tokens, int width, const float* scale, Int8Rows out, cudaStream_t stream);

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

// The same beside a quantized cache (kv_cache.h) of kv_bits, 8 or 4: keys and values are written as codes. `keys` and
// `values` are then FP16 caches of this layer for PrefillAttention to read: they take what the codes stand for, keys
// turned.
struct QuantizedCache {
  uint8_t* keys = nullptr;
  uint8_t* values = nullptr;
};
Status RopeAndQuantize(const RopeShape& shape, int kv_bits, int first, int tokens, const float* cosine,
                       const float* sine, const float* bias, __half* qkv, const QuantizedCache& cache, __half* keys,
                       __half* values, cudaStream_t stream);
// Brings positions first .. first + count - 1 of a quantized cache into such FP16 caches.
Status ReadQuantized(const RopeShape& shape, int kv_bits, int first, int count, const float* cosine, const float* sine,
                     const QuantizedCache& cache, __half* keys, __half* values, cudaStream_t stream);

// gate_up [tokens, 2 width]: silu(gate) * up. `bias` [2 width] or null.
Status GatedFp16(const __half* gate_up, const float* bias, int tokens, int width, Fp16Rows out, cudaStream_t stream);
Status GatedInt8(const __half* gate_up, const float* bias, int tokens, int width, Int8Rows out, cudaStream_t stream);

// residual += in + bias (or null).
Status AddTo(float* residual, const __half* in, const float* bias, int tokens, int width, cudaStream_t stream);

// out[t, r] = (sums[t, r] * row_scales[r]) * token_scales[t]; rows of `out` are `stride` elements apart.
Status Dequantize(const int32_t* sums, const float* row_scales, const float* token_scales, int tokens, int rows,
                  __half* out, int64_t stride, cudaStream_t stream);

struct PrefillAttentionShape {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 16, at most 256
  int capacity = 0;
  int window = 0;   // 0: all
  float scale = 0;  // positive; usually 1 / sqrt(head_dim)
};

// Causal attention of tokens at positions first .. first + tokens - 1 over a cache that holds them and all before them.
// query: [tokens][query_stride], heads first; out [tokens, heads * head_dim].
Status PrefillAttention(const PrefillAttentionShape& shape, int first, int tokens, const __half* query,
                        int64_t query_stride, const __half* keys, const __half* values, __half* out,
                        cudaStream_t stream);

}  // namespace uaqf::cuda
