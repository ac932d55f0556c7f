// How kernels with a block a token write its activations: FP16 or INT8, row by row or in the order of staged.h.
#pragma once

#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/staged.h"

namespace uaqf::cuda::prefill {

inline constexpr int kThreads = 256;

__device__ __forceinline__ __half ToHalf(float value) {
  return __float2half_rn(fminf(fmaxf(value, -65504.0f), 65504.0f));
}

__device__ __forceinline__ uint2 Pack(float4 v) {
  const __half2 low = __halves2half2(ToHalf(v.x), ToHalf(v.y));
  const __half2 high = __halves2half2(ToHalf(v.z), ToHalf(v.w));
  return {*reinterpret_cast<const uint32_t*>(&low), *reinterpret_cast<const uint32_t*>(&high)};
}

__device__ __forceinline__ float4 Unpack(uint2 bits) {
  const float2 low = __half22float2(*reinterpret_cast<const __half2*>(&bits.x));
  const float2 high = __half22float2(*reinterpret_cast<const __half2*>(&bits.y));
  return {low.x, low.y, high.x, high.y};
}

__device__ __forceinline__ float AbsMax(float4 v) {
  return fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
}

__device__ __forceinline__ float ScaleOf(float absmax) { return __fdiv_rn(fmaxf(absmax, 1e-5f), 127.0f); }

// A scale beside its reciprocal, rounded to nearest: with it a product and its remainder give the rounded quotient in
// three instructions (Markstein), the bits of __fdiv_rn but for results too small to matter to a code.
struct Divisor {
  float scale, inverse;
};

__device__ __forceinline__ Divisor DivideBy(float scale) { return {scale, __fdiv_rn(1.0f, scale)}; }

__device__ __forceinline__ float Quotient(float value, const Divisor& by) {
  const float near = value * by.inverse;
  return fmaf(fmaf(-near, by.scale, value), by.inverse, near);
}

// Halves to even: past 1.5 * 2^23 a float has no fraction left, and its low byte is the code. A value is at most 127
// scales, so nothing is cut off.
__device__ __forceinline__ uint32_t Code(float value, const Divisor& by) {
  constexpr float kMagic = 12582912.0f;
  return __float_as_uint(Quotient(value, by) + kMagic);
}

// Codes of a, b, c, d as bytes, the first lowest.
__device__ __forceinline__ uint32_t Codes(float a, float b, float c, float d, const Divisor& by) {
  const uint32_t low = __byte_perm(Code(a, by), Code(b, by), 0x0040);
  const uint32_t high = __byte_perm(Code(c, by), Code(d, by), 0x0040);
  return __byte_perm(low, high, 0x5410);
}

// Columns 4 i .. 4 i + 3 of a token whose rows have `quads` such.
__device__ __forceinline__ void Put(const Int8Rows& out, int64_t token, int quads, int i, float4 v, const Divisor& by) {
  if (out.padded_tokens == 0) {
    reinterpret_cast<uint32_t*>(out.codes)[token * quads + i] = Codes(v.x, v.y, v.z, v.w, by);
    return;
  }
  const int64_t at = StagedInt8(out.padded_tokens, static_cast<int>(token), i / 2 * 8, i % 2);
  *reinterpret_cast<uint32_t*>(out.codes + at) = Codes(v.x, v.z, v.y, v.w, by);
}

__device__ __forceinline__ void Put(const Fp16Rows& out, int64_t token, int quads, int i, float4 v) {
  const uint2 bits = Pack(v);
  if (out.padded_tokens == 0) {
    reinterpret_cast<uint2*>(out.values)[token * quads + i] = bits;
    return;
  }
  auto* bytes = reinterpret_cast<uint8_t*>(out.values);
  const auto put = [&](int word, uint32_t value) {
    const int64_t at = StagedFp16(out.padded_tokens, static_cast<int>(token), i / 2 * 8, i % 2 * 2 + word);
    *reinterpret_cast<uint32_t*>(bytes + at) = value;
  };
  put(0, bits.x);
  put(1, bits.y);
}

// Zeros in the padding of the columns.
__device__ __forceinline__ void PutPadding(const Int8Rows& out, int64_t token, int quads) {
  if (out.padded_tokens == 0) return;
  for (int i = quads + threadIdx.x; i < PaddedWidth(quads * 4) / 4; i += kThreads) {
    Put(out, token, quads, i, {}, {1, 1});
  }
}
__device__ __forceinline__ void PutPadding(const Fp16Rows& out, int64_t token, int quads) {
  if (out.padded_tokens == 0) return;
  for (int i = quads + threadIdx.x; i < PaddedWidth(quads * 4) / 4; i += kThreads) Put(out, token, quads, i, {});
}

}  // namespace uaqf::cuda::prefill
