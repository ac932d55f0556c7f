// Brings the input vector of a product into shared memory, normalized or quantized on the way. Every block does this
// for itself: reading a vector from L2 costs less than one more wait for the others. One function serves all ops: code
// that a layer runs once must stay in the instruction cache until the next.
#pragma once

#include "kernels/cuda/decode/sync.cuh"

namespace uaqf::cuda {

// Vectors of four values that a thread works on at once.
inline constexpr int kBatch = 2;
inline constexpr int kBatchValues = kBatch * kComputeThreads * 4;

__device__ __forceinline__ uint32_t Bits(__half2 pair) { return *reinterpret_cast<const uint32_t*>(&pair); }

// Four values as FP16 high and low halves.
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
}

// Sums over groups of kGroup columns of what a warp's lanes have, four columns each.
template <int kGroup>
__device__ __forceinline__ void StoreSums(const Context& x, int i, int value) {
  auto* sums = reinterpret_cast<float*>(x.act + x.p.sums_offset);
  if constexpr (kGroup == 32) {
#pragma unroll
    for (int step = 1; step < 8; step *= 2) value += __shfl_xor_sync(~0u, value, step);
    if (x.lane % 8 == 0) sums[i / 8] = static_cast<float>(value);
  } else {
    const int all = __reduce_add_sync(~0u, value);
    const int lower = kGroup == 64 ? __reduce_add_sync(~0u, x.lane < 16 ? value : 0) : all;
    if (x.lane == 0) sums[i * 4 / kGroup] = static_cast<float>(lower);
    if (kGroup == 64 && x.lane == 0) sums[i / 16 + 1] = static_cast<float>(all - lower);
  }
}

// Four values as three signed bytes each, value = scale * (d0 + 256 d1 + 65536 d2), the scale a power of two that
// the largest of the block's 128 values sets. Whole warp: it holds the block. Columns stand in the order of the
// weights. kSumGroup: 0, or how many columns a sum is stored of.
template <int kSumGroup>
__device__ __forceinline__ void StoreDigits(const Context& x, int i, float4 v) {
  const auto size = [](float value) { return __float_as_uint(value) & 0x7FFFFFFFu; };
  // Exponents are biased by 127; what is smaller than 2^-105 counts as that.
  const uint32_t largest = max(max(size(v.x), size(v.y)), max(size(v.z), size(v.w)));
  const uint32_t exponent = max(__reduce_max_sync(~0u, largest) >> 23, 22u);
  const float up = __uint_as_float((275 - exponent) << 23);  // 2^21 over the largest's power of two
  uint32_t words[4];
  uint32_t sum = 0;
  const float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    // 1.5 * 2^23 leaves the integer in the lowest bits, rounded half to even.
    const uint32_t shifted = __float_as_uint(fmaf(values[c], up, 12582912.0f));
    words[c] = (shifted - 0x4B400000u + 0x8080u) ^ 0x8080u;
    if (kSumGroup > 0) sum += shifted - 0x4B400000u;
  }
  if constexpr (kSumGroup > 0) StoreSums<kSumGroup>(x, i, static_cast<int>(sum));
  const uint32_t even = __byte_perm(words[0], words[2], 0x5140);
  const uint32_t odd = __byte_perm(words[1], words[3], 0x5140);
  const uint32_t top =
      __byte_perm(__byte_perm(words[0], words[2], 0x0062), __byte_perm(words[1], words[3], 0x0062), 0x5410);
  auto* out = reinterpret_cast<uint32_t*>(x.act) + i;
  const int plane = x.p.plane_bytes / 4;
  out[0] = __byte_perm(even, odd, 0x5410);
  out[plane] = __byte_perm(even, odd, 0x7632);
  out[2 * plane] = top;
  if (x.lane != 0) return;
  // Infinities and NaN make all of the block's products NaN.
  const float scale = exponent == 255 ? NAN : __uint_as_float((exponent - 21) << 23);
  reinterpret_cast<float*>(x.act + x.p.scales_offset)[i / 32] = scale;
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
    if (i % (kSumCols / 4) == 0) reinterpret_cast<int*>(x.act + x.p.scales_offset)[i / (kSumCols / 4)] = sum;
  }
}

__device__ __forceinline__ float AbsMax(float4 v, float maximum) {
  return fmaxf(fmaxf(maximum, fmaxf(fabsf(v.x), fabsf(v.y))), fmaxf(fabsf(v.z), fabsf(v.w)));
}

// The largest of a group of kGroup columns, in all lanes of the warp that hold it, four columns each.
template <int kGroup>
__device__ __forceinline__ float GroupMax(const Context& x, float value) {
  const uint32_t bits = __float_as_uint(value);  // in the order of the values, which are not negative
  const uint32_t lower = __reduce_max_sync(~0u, kGroup == 128 || x.lane < 16 ? bits : 0);
  if (kGroup == 128) return __uint_as_float(lower);
  const uint32_t upper = __reduce_max_sync(~0u, x.lane < 16 ? 0 : bits);
  return __uint_as_float(x.lane < 16 ? lower : upper);
}

// Codes of a group in INT4 or INT8, a byte each in the order of the weight words, and the group's scale (rounding.h).
// Codes do not depend on a factor of the whole vector, so that of a norm may come later.
template <int kGroup>
__device__ __forceinline__ void StoreRounded(const Context& x, int i, float4 v, float largest, bool int8) {
  const float scale = fmaxf(largest * (int8 ? 1 / 127.0f : x.p.round_step), 1e-30f);
  const float inverse = __fdividef(1.0f, scale);
  const float least = int8 ? -127.0f : -8.0f;
  const float most = int8 ? 127.0f : 7.0f;
  const auto code = [&](float value) {
    // The rounded quotient (Markstein); 1.5 * 2^23 leaves the nearest integer in the lowest bits.
    const float near = value * inverse;
    const float quotient = fmaf(fmaf(-near, scale, value), inverse, near);
    return __float_as_uint(fminf(fmaxf(quotient, least), most) + 12582912.0f);
  };
  const uint32_t even = __byte_perm(code(v.x), code(v.z), 0x0040);
  const uint32_t odd = __byte_perm(code(v.y), code(v.w), 0x0040);
  reinterpret_cast<uint32_t*>(x.act)[i] = __byte_perm(even, odd, 0x5410);
  if (x.lane % (kGroup / 4) == 0) reinterpret_cast<float*>(x.act + x.p.scales_offset)[i * 4 / kGroup] = scale;
}

template <class W>
__device__ __forceinline__ void Store(const Context& x, int i, float4 v, float scale) {
  if constexpr (W::kInt8Vector) {
    StoreInt8<W::kSumCols>(x, i, v, scale);
  } else if constexpr (W::kRows) {
    StoreFloat(x, i, v);
  } else {
    StoreDigits<W::kZeroGroup>(x, i, v);
  }
}

// What a product reads, and what is done to it on the way.
struct Input {
  const float* source;  // published by other blocks
  const float* norm;    // weights of an RMSNorm, or null
  uint32_t mark;        // of the values
  int count;
  int padded;         // with zeros up to here
  int int8_from;      // of a rounded input
  float fixed_scale;  // of INT8 activations, or 0
};

// Vectors of a thread, from its `first` on.
struct Batch {
  uint4 words[kBatch];

  __device__ __forceinline__ void Ask(const Input& in, int first) {
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int i = first + j * kComputeThreads;
      words[j] = {in.mark, in.mark, in.mark, in.mark};
      if (i * 4 < in.count) words[j] = LoadMarked4(in.source + i * 4);
    }
  }

  // Asks again until all have come.
  __device__ __forceinline__ void Await(const Input& in, int first) {
#pragma unroll 1
    for (int polls = 0;; ++polls) {
      uint32_t wrong = 0;
#pragma unroll
      for (int j = 0; j < kBatch; ++j) {
        wrong |= (words[j].x ^ in.mark) | (words[j].y ^ in.mark) | (words[j].z ^ in.mark) | (words[j].w ^ in.mark);
      }
      if ((wrong & 1) == 0) return;
      if (polls == kMaxPolls) __trap();
      Ask(in, first);
    }
  }

  __device__ __forceinline__ float4 Values(int j) const {
    return {Unmarked(words[j].x), Unmarked(words[j].y), Unmarked(words[j].z), Unmarked(words[j].w)};
  }
};

// A thread's vectors with the norm's weights on them.
struct Vectors {
  float4 v[kBatch];

  // Adds the squares of what came, and takes the largest of what leaves.
  __device__ __forceinline__ void Weigh(const Batch& batch, const Input& in, int first, float& squares,
                                        float& maximum) {
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int i = first + j * kComputeThreads;
      float4 weight = {1, 1, 1, 1};
      if (in.norm != nullptr && i * 4 < in.count) weight = __ldg(reinterpret_cast<const float4*>(in.norm) + i);
      v[j] = weight;
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const float4 a = batch.Values(j);
      squares += (a.x * a.x + a.y * a.y) + (a.z * a.z + a.w * a.w);
      v[j] = {a.x * v[j].x, a.y * v[j].y, a.z * v[j].z, a.w * v[j].w};
      maximum = AbsMax(v[j], maximum);
    }
  }

  template <class W>
  __device__ __forceinline__ void StoreAll(const Context& x, const Input& in, int first, float factor, float scale) {
    float largest[kBatch];
    if constexpr (W::kRoundGroup > 0) {
#pragma unroll
      for (int j = 0; j < kBatch; ++j) largest[j] = GroupMax<W::kRoundGroup>(x, AbsMax(v[j], 0));
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int at = first + j * kComputeThreads;
      const float4 a = v[j];
      if (at * 4 >= in.padded) continue;
      const float4 out = {a.x * factor, a.y * factor, a.z * factor, a.w * factor};
      if constexpr (W::kRoundGroup > 0) {
        StoreRounded<W::kRoundGroup>(x, at, a, largest[j], at * 4 >= in.int8_from);
      } else {
        Store<W>(x, at, out, scale);
      }
    }
  }
};

__device__ __forceinline__ float NormFactor(const Context& x, float squares) {
  return rsqrtf(squares * x.p.inverse_hidden + x.p.epsilon);
}

// Returns what the products must be multiplied with: the scale of a vector quantized as one; for digits, which have
// scales of their own, the factor of the norm, so that nothing waits for its sum. Ends with a ComputeSync.
template <class W>
__device__ __forceinline__ float StageInput(const Context& x, const Input& in) {
  // Nothing stored depends on a factor of the whole vector.
  constexpr bool kLater = W::kPlanes == 3 || W::kRoundGroup > 0;
  const int first = threadIdx.x;
  float squares = 0;
  float maximum = 0;
  Batch batch;
  Vectors vectors;
  // Whole vectors that are needed twice and do not fit a batch are read twice; the first batch comes last.
  int from = kLater || (in.norm == nullptr && !W::kInt8Vector) ? 0 : (in.count - 1) / kBatchValues * kBatchValues;
#pragma unroll 1
  for (; from > 0; from -= kBatchValues) {
    batch.Ask(in, first + from / 4);
    batch.Await(in, first + from / 4);
    vectors.Weigh(batch, in, first + from / 4, squares, maximum);
  }
  batch.Ask(in, first);
  batch.Await(in, first);
  vectors.Weigh(batch, in, first, squares, maximum);
  float factor = 1;
  float scale = 1;
  if (!kLater && in.norm != nullptr) factor = NormFactor(x, BlockReduce<false>(x, squares, x.scratch));
  if (W::kInt8Vector) {
    scale = fmaxf(BlockReduce<true>(x, maximum, x.scratch + 32) * factor, 1e-5f) / 127.0f;
    if (in.fixed_scale > 0) scale = in.fixed_scale;
  }
#pragma unroll 1
  for (int at = first;;) {
    const int next = at + kBatchValues / 4;
    const bool more = (next - first) * 4 < in.padded;
    if (more) batch.Ask(in, next);
    vectors.StoreAll<W>(x, in, at, factor, scale);
    if (!more) break;
    batch.Await(in, next);
    vectors.Weigh(batch, in, next, squares, maximum);
    at = next;
  }
  if (kLater) BlockSumLater(x, squares);
  ComputeSync();
  if (kLater && in.norm != nullptr) scale = NormFactor(x, BlockSumNow(x));
  return scale;
}

}  // namespace uaqf::cuda
