// Brings the input vector of a product into shared memory, normalized or quantized on the way. Every block does this
// for itself: reading a vector from L2 costs less than one more barrier.
#pragma once

#include "kernels/cuda/decode/sync.cuh"

namespace uaqf::cuda {

// Vectors of 4 that a thread holds at once where it need not hold all.
inline constexpr int kBatch = 4096 / kDecodeThreads;

__device__ __forceinline__ uint32_t Bits(__half2 pair) { return *reinterpret_cast<const uint32_t*>(&pair); }

// The hidden state: the residual stream, or before the first layer the embedding of the token.
__device__ __forceinline__ float4 LoadHidden(const Context& x, int layer, int op, int i) {
  if (layer > 0 || op != kQkvOp) return __ldcg(reinterpret_cast<const float4*>(x.p.residual) + i);
  if (i * 4 >= x.p.hidden) return {};
  const uint8_t* row = x.p.embedding + x.token * x.p.embedding_row_bytes;
  const uint2 pairs = __ldg(reinterpret_cast<const uint2*>(row) + i);
  const float2 a = __half22float2(*reinterpret_cast<const __half2*>(&pairs.x));
  const float2 b = __half22float2(*reinterpret_cast<const __half2*>(&pairs.y));
  return {a.x, a.y, b.x, b.y};
}

// Four values as FP16 high and low halves, and the sums of their group of kSumCols columns.
template <int kSumCols>
__device__ __forceinline__ void StoreFloat(const Context& x, int i, float4 v) {
  const float values[4] = {v.x, v.y, v.z, v.w};
  float high[4];
  float low[4];
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    const float clamped = fminf(fmaxf(values[c], -65504.0f), 65504.0f);
    high[c] = __half2float(__float2half_rn(clamped));
    low[c] = fminf(fmaxf(values[c] - high[c], -65504.0f), 65504.0f);
  }
  auto* out = reinterpret_cast<uint2*>(x.act);
  out[i] = {Bits(__floats2half2_rn(high[0], high[1])), Bits(__floats2half2_rn(high[2], high[3]))};
  out[x.p.low_offset / 8 + i] = {Bits(__floats2half2_rn(low[0], low[1])), Bits(__floats2half2_rn(low[2], low[3]))};
  if constexpr (kSumCols > 0) {
    float sum = (v.x + v.y) + (v.z + v.w);
#pragma unroll
    for (int step = 1; step < kSumCols / 4; step *= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (i % (kSumCols / 4) == 0) reinterpret_cast<float*>(x.act + x.p.sums_offset)[i / (kSumCols / 4)] = sum;
  }
}

__device__ __forceinline__ int QuantizeOne(float value, float scale) {
  return static_cast<int>(fminf(fmaxf(rintf(__fdiv_rn(value, scale)), -127.0f), 127.0f));
}

template <int kSumCols>
__device__ __forceinline__ void StoreInt8(const Context& x, int i, float4 v, float scale) {
  const int q[4] = {QuantizeOne(v.x, scale), QuantizeOne(v.y, scale), QuantizeOne(v.z, scale), QuantizeOne(v.w, scale)};
  // Columns in the order of the weight words.
  reinterpret_cast<uint32_t*>(x.act)[i] =
      (q[0] & 0xFF) | (q[2] & 0xFF) << 8 | (q[1] & 0xFF) << 16 | static_cast<uint32_t>(q[3] & 0xFF) << 24;
  if constexpr (kSumCols > 0) {
    int sum = (q[0] + q[1]) + (q[2] + q[3]);
#pragma unroll
    for (int step = 1; step < kSumCols / 4; step *= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (i % (kSumCols / 4) == 0) reinterpret_cast<int*>(x.act + x.p.sums_offset)[i / (kSumCols / 4)] = sum;
  }
}

__device__ __forceinline__ float AbsMax(float4 v, float maximum) {
  return fmaxf(fmaxf(maximum, fmaxf(fabsf(v.x), fabsf(v.y))), fmaxf(fabsf(v.z), fabsf(v.w)));
}

// Norm weights of this thread: loaded before the wait for the residual stream, which they do not depend on.
struct NormWeights {
  float4 v[kNormVectors];

  __device__ __forceinline__ void Load(const float* weights, int cols) {
#pragma unroll
    for (int j = 0; j < kNormVectors; ++j) {
      const int i = threadIdx.x + j * kDecodeThreads;
      v[j] = i * 4 < cols ? __ldg(reinterpret_cast<const float4*>(weights) + i) : float4{};
    }
  }
};

// RMSNorm of the hidden state. Returns the scale of the quantized vector, or 1.
template <class W>
__device__ __forceinline__ float StageNormed(const Context& x, int layer, int op, const NormWeights& weights,
                                             int padded) {
  float4 v[kNormVectors];
  float squares = 0;
#pragma unroll
  for (int j = 0; j < kNormVectors; ++j) {
    const int i = threadIdx.x + j * kDecodeThreads;
    v[j] = i * 4 < padded ? LoadHidden(x, layer, op, i) : float4{};
  }
#pragma unroll
  for (int j = 0; j < kNormVectors; ++j) {
    squares += (v[j].x * v[j].x + v[j].y * v[j].y) + (v[j].z * v[j].z + v[j].w * v[j].w);
  }
  const float mean = BlockReduce<false>(x, squares, x.scratch) / static_cast<float>(x.p.hidden);
  const float factor = 1.0f / sqrtf(mean + x.p.epsilon);
  float maximum = 0;
#pragma unroll
  for (int j = 0; j < kNormVectors; ++j) {
    const float4 w = weights.v[j];
    v[j] = {v[j].x * factor * w.x, v[j].y * factor * w.y, v[j].z * factor * w.z, v[j].w * factor * w.w};
    if constexpr (W::kInt8Vector) maximum = AbsMax(v[j], maximum);
  }
  float scale = 1;
  if constexpr (W::kInt8Vector) scale = fmaxf(BlockReduce<true>(x, maximum, x.scratch + 32), 1e-5f) / 127.0f;
#pragma unroll
  for (int j = 0; j < kNormVectors; ++j) {
    const int i = threadIdx.x + j * kDecodeThreads;
    if (i * 4 >= padded) continue;
    if constexpr (W::kInt8Vector) {
      StoreInt8<W::kSumCols>(x, i, v[j], scale);
    } else {
      StoreFloat<W::kSumCols>(x, i, v[j]);
    }
  }
  return scale;
}

// A vector that other blocks have left in `source`, [padded] with zeros at the end.
template <class W>
__device__ __forceinline__ float StagePlain(const Context& x, const float* source, int padded) {
  const auto* vectors = reinterpret_cast<const float4*>(source);
  float4 v[kBatch];
  float scale = 1;
  if constexpr (W::kInt8Vector) {
    float maximum = 0;
    for (int from = threadIdx.x; from < padded / 4; from += kBatch * kDecodeThreads) {
#pragma unroll
      for (int j = 0; j < kBatch; ++j) {
        const int i = from + j * kDecodeThreads;
        v[j] = i * 4 < padded ? __ldcg(vectors + i) : float4{};
      }
#pragma unroll
      for (int j = 0; j < kBatch; ++j) maximum = AbsMax(v[j], maximum);
    }
    scale = fmaxf(BlockReduce<true>(x, maximum, x.scratch + 32), 1e-5f) / 127.0f;
  }
  for (int from = threadIdx.x; from < padded / 4; from += kBatch * kDecodeThreads) {
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int i = from + j * kDecodeThreads;
      v[j] = i * 4 < padded ? __ldcg(vectors + i) : float4{};
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int i = from + j * kDecodeThreads;
      if (i * 4 >= padded) continue;
      if constexpr (W::kInt8Vector) {
        StoreInt8<W::kSumCols>(x, i, v[j], scale);
      } else {
        StoreFloat<W::kSumCols>(x, i, v[j]);
      }
    }
  }
  return scale;
}

}  // namespace uaqf::cuda
