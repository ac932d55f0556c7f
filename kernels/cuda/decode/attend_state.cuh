// What a warp of attention keeps for a query, and how its lanes share out positions. Lanes of a warp share out the
// dimensions of a position, 8 each, and as many positions at once as there are lanes left.
//
// Keys of a quantized cache are as they were before RoPE. A score depends on the distance only, so the query is turned,
// by RoPE's angles for the distance to the key: from the table for a lane's first position, then by the same step from
// each of its positions to its next. A thousand steps are off by some 1e-5.
#pragma once

#include "kernels/cuda/decode/kv_rows.cuh"
#include "kernels/cuda/decode/sync.cuh"

namespace uaqf::cuda {

inline constexpr int kMaxQueries = 2;
// Positions of a chunk that a lane scores.
inline constexpr int kScores = 2;
inline constexpr float kNothing = -1e30f;  // maximum of no scores

// How lanes share out a unit.
struct LaneSplit {
  int lanes;      // of one position, a power of two
  int positions;  // at once
  int sub;        // which of them this lane works on
  int dim;        // first of its 8 dimensions, or of its codes
  bool on;        // dim < head_dim

  __device__ __forceinline__ LaneSplit(int head_dim, int lane) {
    lanes = LanesOf(head_dim);
    positions = 32 / lanes;
    sub = lane / lanes;
    dim = lane % lanes * 8;
    on = dim < head_dim;
  }

  // The dimension of the i-th of a lane's values.
  template <int kBits>
  __device__ __forceinline__ int DimensionOf(int i, int head_dim) const {
    return kBits == 16 ? dim + i : dim / 2 + i / 2 + i % 2 * (head_dim / 2);
  }

  // Positions that all warps score at once.
  __device__ __forceinline__ int step() const { return kWarps * positions; }
};

// Cosines and sines of a lane's four pairs of dimensions.
struct Angles {
  float4 cosine = {};
  float4 sine = {};

  __device__ __forceinline__ Angles() = default;
  // From shared memory: cosines, then sines, [head_dim / 2] each.
  __device__ __forceinline__ Angles(const Context& x, const LaneSplit& split, uint32_t table) {
    const uint32_t at = table + split.dim / 2 * 4;
    cosine = LoadWhere<float4>(split.on, at);
    sine = LoadWhere<float4>(split.on, at + x.p.head_dim / 2 * 4);
  }
};

// Of a distance, from the table in device memory.
__device__ __forceinline__ Angles DistanceAngles(const Context& x, const LaneSplit& split, int distance) {
  Angles by;
  if (split.on) {
    const int64_t at = int64_t{distance} * (x.p.head_dim / 2) + split.dim / 2;
    by.cosine = __ldg(reinterpret_cast<const float4*>(x.p.rope_cos + at));
    by.sine = __ldg(reinterpret_cast<const float4*>(x.p.rope_sin + at));
  }
  return by;
}

// By what a quantized cache's query turns: from a lane's position to its next in the chunk, and from behind its last
// one to its first in the next chunk.
__device__ __forceinline__ Angles StepAngles(const Context& x, const LaneSplit& split) {
  return Angles(x, split, SharedAddress(x.rope));
}
__device__ __forceinline__ Angles ChunkAngles(const Context& x, const LaneSplit& split) {
  return Angles(x, split, SharedAddress(x.rope) + x.p.head_dim * 4);
}

template <int kQueries>
struct AttendState {
  float query[kQueries][8];
  float maximum[kQueries];
  float sum[kQueries];
  float out[kQueries][8];

  template <int kBits>
  __device__ __forceinline__ void Load(const Context& x, const LaneSplit& split, int first, int last, uint32_t mark) {
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
      const float* source = x.p.query + min(first + j, last) * x.p.head_dim + split.DimensionOf<kBits>(0, x.p.head_dim);
      maximum[j] = kNothing;
      sum[j] = 0;
      float4 halves[2] = {};
      if (split.on) {
        const float* second = source + (kBits == 16 ? 4 : x.p.head_dim / 2);
        AwaitEight(source, second, mark, halves);
      }
      const float values[8] = {halves[0].x, halves[0].y, halves[0].z, halves[0].w,
                               halves[1].x, halves[1].y, halves[1].z, halves[1].w};
#pragma unroll
      for (int d = 0; d < 8; ++d) {
        query[j][d] = values[kBits == 16 ? d : d / 2 + d % 2 * 4] * x.p.query_scale;
        out[j][d] = 0;
      }
    }
  }

  // As RoPE turns, by these angles.
  __device__ __forceinline__ void Turn(const Angles& by) {
    const float c[4] = {by.cosine.x, by.cosine.y, by.cosine.z, by.cosine.w};
    const float s[4] = {by.sine.x, by.sine.y, by.sine.z, by.sine.w};
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float a = query[j][2 * i];
        const float b = query[j][2 * i + 1];
        query[j][2 * i] = fmaf(a, c[i], -b * s[i]);
        query[j][2 * i + 1] = fmaf(b, c[i], a * s[i]);
      }
    }
  }

  // Scores of one position, in all its lanes.
  __device__ __forceinline__ void Score(const LaneSplit& split, const Unpacked& key, float (&score)[kQueries]) const {
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
      float dot = 0;
#pragma unroll
      for (int d = 0; d < 8; ++d) dot = fmaf(query[j][d], key.v[d], dot);
#pragma unroll
      for (int step = 16; step > 0; step /= 2) {
        // A shuffle that is not wanted costs less than a branch around it.
        const float other = __shfl_xor_sync(~0u, dot, step);
        dot += step < split.lanes ? other : 0;
      }
      score[j] = dot * key.scale;
    }
  }

  // Raises the maximum of query j, and scales what has been summed.
  __device__ __forceinline__ void Raise(int j, float to) {
    const float raised = fmaxf(maximum[j], to);
    const float factor = exp2f(maximum[j] - raised);
    maximum[j] = raised;
    sum[j] *= factor;
#pragma unroll
    for (int d = 0; d < 8; ++d) out[j][d] *= factor;
  }

  __device__ __forceinline__ void Add(int j, float weight, const Unpacked& value) {
    sum[j] += weight;
    const float scaled = weight * value.scale;
#pragma unroll
    for (int d = 0; d < 8; ++d) out[j][d] = fmaf(scaled, value.v[d], out[j][d]);
  }

  // Takes in the states of the other positions of the warp.
  __device__ __forceinline__ void MergeLanes(const LaneSplit& split) {
#pragma unroll 1
    for (int step = 16; step >= split.lanes; step /= 2) {
#pragma unroll
      for (int j = 0; j < kQueries; ++j) {
        Raise(j, __shfl_xor_sync(~0u, maximum[j], step));
        sum[j] += __shfl_xor_sync(~0u, sum[j], step);
#pragma unroll
        for (int d = 0; d < 8; ++d) out[j][d] += __shfl_xor_sync(~0u, out[j][d], step);
      }
    }
  }
};

}  // namespace uaqf::cuda
