// What both kernels of a prefill's attention share: a block takes 64 queries of a head, a warp 16 of them. Two teams of
// four warps take every other tile of positions and add up at the end: the last queries, which see the most, would take
// twice as long otherwise. Scores and the running softmax are FP32, products FP16 with FP32 sums.
#pragma once

#include "kernels/cuda/barrier.cuh"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/launch.cuh"

namespace uaqf::cuda::prefill {

constexpr float kLog2E = 1.4426950408889634f;
constexpr int kTeamWarps = 4;
constexpr int kTeam = kTeamWarps * 32;
constexpr int kQueries = kTeamWarps * 16;

struct AttentionLaunch {
  PrefillAttentionShape s;
  int first, tokens;
  const __half* query;
  int64_t query_stride;
  const __half* keys;
  const __half* values;
  __half* out;
};

// The kernel of warpgroup products, for devices of compute capability 9.0 and heads of up to 128 dimensions.
Status RunGroupAttention(const AttentionLaunch& l, cudaStream_t stream);

__device__ __forceinline__ uint32_t Pack(float a, float b) {
  const __half2 pair = __floats2half2_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ __forceinline__ float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 16 bytes of global memory to shared memory, or zeros.
__device__ __forceinline__ void CopyPiece(uint32_t target, const __half* source, bool exists) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(exists ? 16 : 0)
               : "memory");
}

// What a block has to do. Late queries have the most: they go first.
struct Work {
  int head, row;   // `row` of 64 queries
  int begin, end;  // positions that one of them sees, from the start of a tile of `positions` on
  __device__ __forceinline__ Work(const AttentionLaunch& l, int positions)
      : head(blockIdx.x), row((gridDim.y - 1 - blockIdx.y) * kQueries) {
    end = l.first + min(row + kQueries, l.tokens);
    const int start = l.s.window > 0 ? max(0, l.first + row - l.s.window + 1) : 0;
    begin = start / positions * positions;
  }
};

// A warp's 16 queries so far, those of this thread: rows g and g + 8, dimensions 8 d + 2 t and the next.
template <int kDims>
struct Running {
  float out[kDims / 2];  // [d][row g: two, row g + 8: two]
  float maximum[2];
  float sum[2];
  __device__ __forceinline__ Running() {
#pragma unroll
    for (float& value : out) value = 0;
    for (int i = 0; i < 2; ++i) {
      maximum[i] = -1e30f;
      sum[i] = 0;
    }
  }
};

// Masks (where a query does not see the whole tile), raises the maxima and turns scores into weights. Scores: [n][row
// g: positions `from` + 8 n + 2 t and the next, row g + 8: the same]. `position`: of row g.
template <bool kMasked, int kDims, int kScores>
__device__ __forceinline__ void Softmax(const AttentionLaunch& l, int position, int from, Running<kDims>& w,
                                        float (&scores)[kScores]) {
  const int lane = threadIdx.x % 32;
  const float scale = l.s.scale * kLog2E;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const int at = position + row * 8;
    float maximum = w.maximum[row];
#pragma unroll
    for (int n = 0; n < kScores / 4; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = from + n * 8 + lane % 4 * 2 + i;
        float& score = scores[n * 4 + row * 2 + i];
        const bool seen = !kMasked || (key <= at && (l.s.window == 0 || key > at - l.s.window));
        if (!seen) score = -INFINITY;
        maximum = fmaxf(maximum, score);
      }
    }
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 1));
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 2));
    const float factor = Exp2((w.maximum[row] - maximum) * scale);
    const float shift = -maximum * scale;
    w.maximum[row] = maximum;
    w.sum[row] *= factor;
#pragma unroll
    for (int n = 0; n < kScores / 4; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& score = scores[n * 4 + row * 2 + i];
        score = Exp2(fmaf(score, scale, shift));
        w.sum[row] += score;
      }
    }
#pragma unroll
    for (int d = 0; d < kDims / 8; ++d) {
      w.out[d * 4 + row * 2] *= factor;
      w.out[d * 4 + row * 2 + 1] *= factor;
    }
  }
}

// Whether all 16 queries from `position` on see all of the `count` positions from `from` on.
__device__ __forceinline__ bool SeeAll(const AttentionLaunch& l, int position, int queries, int from, int count) {
  return from + count <= position + 1 && (l.s.window == 0 || from > position + queries - 1 - l.s.window);
}

// Half of the dimensions in `out`, as Join() and StoreOut() share them between the teams.
template <int kDims, int kHalf>
struct Half {
  static constexpr int kBegin = kHalf * kDims / 4;
  static constexpr int kEnd = kBegin + kDims / 4;
};

// Values of each thread of both teams, one after the other.
template <int kDims>
constexpr int kJoinFloats = kDims / 4 + 4;

template <int kDims, int kHalf>
__device__ __forceinline__ void Send(float* mine, const Running<kDims>& w) {
  using H = Half<kDims, kHalf>;
#pragma unroll
  for (int i = H::kBegin; i < H::kEnd; ++i) mine[(i - H::kBegin) * 2 * kTeam] = w.out[i];
  for (int row = 0; row < 2; ++row) {
    mine[(kDims / 4 + row) * 2 * kTeam] = w.maximum[row];
    mine[(kDims / 4 + 2 + row) * 2 * kTeam] = w.sum[row];
  }
}

template <int kDims, int kHalf>
__device__ __forceinline__ void Receive(const float* theirs, float scale, Running<kDims>& w) {
  using H = Half<kDims, kHalf>;
  float own[2];
  float other[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const float other_maximum = theirs[(kDims / 4 + row) * 2 * kTeam];
    const float maximum = fmaxf(w.maximum[row], other_maximum);
    own[row] = Exp2((w.maximum[row] - maximum) * scale);
    other[row] = Exp2((other_maximum - maximum) * scale);
    w.sum[row] = w.sum[row] * own[row] + theirs[(kDims / 4 + 2 + row) * 2 * kTeam] * other[row];
  }
#pragma unroll
  for (int i = H::kBegin; i < H::kEnd; ++i) {
    w.out[i] = w.out[i] * own[i % 4 / 2] + theirs[(i - H::kBegin) * 2 * kTeam] * other[i % 4 / 2];
  }
}

// Adds up what the teams have, through shared memory that nobody needs any more: kJoinFloats of each thread. The first
// team then has the first half of the dimensions, the second the other.
template <int kDims>
__device__ __forceinline__ void Join(float* shared, int team, float scale, Running<kDims>& w) {
  float* mine = shared + threadIdx.x;
  const float* theirs = shared + (threadIdx.x + kTeam) % (2 * kTeam);
  __syncthreads();
  if (team == 0) {
    Send<kDims, 1>(mine, w);
  } else {
    Send<kDims, 0>(mine, w);
  }
  __syncthreads();
  if (team == 0) {
    Receive<kDims, 0>(theirs, scale, w);
  } else {
    Receive<kDims, 1>(theirs, scale, w);
  }
}

// Half of the dimensions. `row`: the warp's first query.
template <int kDims, int kHalf>
__device__ __forceinline__ void StoreHalf(const AttentionLaunch& l, int head, int row, const Running<kDims>& w) {
  using H = Half<kDims, kHalf>;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = w.sum[half];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    const float inverse = 1.0f / sum;
    const int token = row + lane / 4 + half * 8;
    if (token >= l.tokens) continue;
    __half* out = l.out + (int64_t{token} * l.s.heads + head) * l.s.head_dim;
#pragma unroll
    for (int i = H::kBegin + half * 2; i < H::kEnd; i += 4) {
      const int dim = i / 4 * 8 + lane % 4 * 2;
      if (dim >= l.s.head_dim) continue;
      *reinterpret_cast<uint32_t*>(out + dim) = Pack(w.out[i] * inverse, w.out[i + 1] * inverse);
    }
  }
}

// What the team has after Join().
template <int kDims>
__device__ __forceinline__ void StoreOut(const AttentionLaunch& l, int head, int row, int team,
                                         const Running<kDims>& w) {
  if (team == 0) {
    StoreHalf<kDims, 0>(l, head, row, w);
  } else {
    StoreHalf<kDims, 1>(l, head, row, w);
  }
}

}  // namespace uaqf::cuda::prefill
