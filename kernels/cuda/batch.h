// One step of several sequences: what lies between their norms. A row of everything is a sequence; 1 to kMostSequences
// of them. Pointers are device memory, borrowed, 16-byte aligned. Calls are asynchronous on the stream, allocate
// nothing and may be captured; a Status tells of the launch only. Sums are FP32 (INT8 activations: int32) in a fixed
// order that depends on the shapes and the device only: the same input gives the same bits, and a row does not depend
// on the others. Devices of compute capability 9.0 (HasStagedProducts).
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

inline constexpr int kMostSequences = 32;

// Rows of activations are padded to so many (StagedInt8, StagedFp16 of prefill/staged.h take it as their tokens).
constexpr int PaddedSequences(int sequences) { return sequences <= 8 ? 8 : sequences <= 16 ? 16 : 32; }

// FP16 caches of one layer, [sequence][kv_heads][capacity][head_dim].
struct BatchCache {
  __half* keys = nullptr;
  __half* values = nullptr;
  int64_t stride = 0;  // values from one sequence to the next
};

// Where results go.
struct BatchTarget {
  enum Kind {
    kAdd,    // sums[s, r] += result; [sequences, rows]
    kSet,    // sums[s, r] = result
    kGated,  // gated[s, i] = silu(result of gate row i) * result of up row i, rounded to FP16; [sequences, rows / 2]
    kHeads,  // rows q, k, v: q and k turned by RoPE of the sequence's position, all rounded to FP16; q to `query`
             // [sequences, heads * head_dim], k and v into the cache at that position
  };
  Kind kind = kSet;
  const float* bias = nullptr;  // FP32 [rows], or null
  float* sums = nullptr;
  Fp16Rows gated;
  RopeShape rope;
  const int32_t* positions = nullptr;  // [sequences]; one at or past the capacity writes no cache
  const float* cosine = nullptr;       // FP32 [capacity][head_dim / 2]
  const float* sine = nullptr;
  __half* query = nullptr;
  BatchCache cache;
};

// Beside FP16 activations codes become FP16 exactly, and scales are multiplied in FP32.
// Results are (sum over c of weights[r, c] * in[s, c]) times the scales, plus the bias; rows in logical order. `in` is
// in the order of prefill/staged.h with PaddedSequences() tokens, INT8 if it has scales. A matrix with group scales and
// an FP16 matrix take FP16 activations only. kGated takes a matrix of that order, kHeads one of order kRotary.
Status MultiplyBatch(const MatrixView& weights, const StagedRows& in, int sequences, const BatchTarget& target,
                     cudaStream_t stream);

struct BatchAttentionShape {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 16, at most 256
  int capacity = 0;
  int window = 0;   // 0: all
  float scale = 0;  // usually 1 / sqrt(head_dim)
};

// Scratch of BatchAttention: zero before its first call, for calls of one stream.
int64_t BatchAttentionBytes(const BatchAttentionShape& shape, int sequences);

// Attention of each sequence's query over its own cache, which holds all up to its position (device memory
// [sequences]). query, out: [sequences, heads * head_dim].
Status BatchAttention(const BatchAttentionShape& shape, int sequences, const int32_t* positions, const __half* query,
                      const BatchCache& cache, Fp16Rows out, void* scratch, cudaStream_t stream);

}  // namespace uaqf::cuda
