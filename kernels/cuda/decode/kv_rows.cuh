// Rows of a quantized cache (kv_cache.h), eight codes of one in a lane.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/kv_cache.h"

namespace uaqf::cuda {

// Eight dimensions, to be multiplied with `scale`: values of an FP16 row (1), or distances of codes from their zero.
struct Unpacked {
  float v[8];
  float scale;
};

__device__ __forceinline__ Unpacked Unpack8(uint4 packed) {
  Unpacked out;
  const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&words[i]));
    out.v[2 * i] = pair.x;
    out.v[2 * i + 1] = pair.y;
  }
  out.scale = 1;
  return out;
}

// Codes in the order of a row: two words of INT8, one of INT4. Aligned, so that they are one load.
template <int kBits>
struct alignas(kBits) PackedCodes {
  uint32_t words[kBits / 4];
};

// Lanes of a row, eight codes or dimensions each, a power of two; the last may have none.
__host__ __device__ constexpr int LanesOf(int head_dim) {
  return head_dim > 128 ? 32 : head_dim > 64 ? 16 : head_dim > 32 ? 8 : 4;
}

// `pair`: the row's scale and zero.
template <int kBits>
__device__ __forceinline__ Unpacked UnpackCodes(const PackedCodes<kBits>& packed, uint32_t pair) {
  const float2 scale_zero = __half22float2(*reinterpret_cast<const __half2*>(&pair));
  // A float of 2^23 and more holds an integer in its lowest bits; the difference of two such is exact.
  const float base = 8388608.0f + scale_zero.y;
  // Codes to bytes: of INT4 the even ones, then the odd ones.
  const uint32_t bytes[2] = {kBits == 8 ? packed.words[0] : packed.words[0] & 0x0F0F0F0Fu,
                             kBits == 8 ? packed.words[kBits / 4 - 1] : packed.words[0] >> 4 & 0x0F0F0F0Fu};
  Unpacked out;
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    const uint32_t from = bytes[kBits == 8 ? c / 4 : c % 2];
    out.v[c] = __uint_as_float(__byte_perm(from, 0x4B000000u, 0x7650 + (kBits == 8 ? c % 4 : c / 2))) - base;
  }
  out.scale = scale_zero.x;
  return out;
}

// a / b with a close 1 / b, rounded as a division would be, so that halves stay halves.
__device__ __forceinline__ float Divide(float a, float b, float inverse) {
  const float q = a * inverse;
  return fmaf(fmaf(-q, b, a), inverse, q);
}

// Scale and zero of a row as they are stored.
template <int kBits>
__device__ __forceinline__ uint32_t ScaleAndZero(float minimum, float maximum) {
  constexpr float kMost = (1 << kBits) - 1;
  __half scale = __float2half_rn(Divide(maximum - minimum, kMost, 1.0f / kMost));
  if (__half2float(scale) == 0) {
    minimum = fminf(minimum, 0.0f);
    scale = __float2half_rn(Divide(fmaxf(maximum, 0.0f) - minimum, kMost, 1.0f / kMost));
  }
  const float s = __half2float(scale);
  const float zero = s == 0 ? 0 : fminf(fmaxf(rintf(Divide(-minimum, s, __fdividef(1.0f, s))), 0.0f), kMost);
  const __half2 pair = __halves2half2(scale, __float2half_rn(zero));
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// A row whose values lie eight each in `lanes` neighbouring lanes, a power of two; whole warp. Lanes that are not `on`
// have none. Returns the row's pair and leaves this lane's codes.
template <int kBits>
__device__ __forceinline__ uint32_t QuantizeRow(const float (&values)[8], int lanes, bool on,
                                                PackedCodes<kBits>& packed) {
  constexpr float kMost = (1 << kBits) - 1;
  float minimum = on ? values[0] : INFINITY;
  float maximum = on ? values[0] : -INFINITY;
#pragma unroll
  for (int d = 1; d < 8; ++d) {
    if (on) minimum = fminf(minimum, values[d]);
    if (on) maximum = fmaxf(maximum, values[d]);
  }
#pragma unroll 1
  for (int step = lanes / 2; step > 0; step /= 2) {
    minimum = fminf(minimum, __shfl_xor_sync(~0u, minimum, step));
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, step));
  }
  const uint32_t pair = ScaleAndZero<kBits>(minimum, maximum);
  const float2 scale_zero = __half22float2(*reinterpret_cast<const __half2*>(&pair));
  const float inverse = scale_zero.x == 0 ? 0 : __fdividef(1.0f, scale_zero.x);
#pragma unroll
  for (int i = 0; i < kBits / 4; ++i) packed.words[i] = 0;
#pragma unroll
  for (int d = 0; d < 8; ++d) {
    const float code = rintf(Divide(values[d], scale_zero.x, inverse)) + scale_zero.y;
    const uint32_t bits = __float2uint_rn(fminf(fmaxf(code, 0.0f), kMost));
    packed.words[d / (32 / kBits)] |= bits << (d % (32 / kBits) * kBits);
  }
  return pair;
}

// The row's codes from its `first`th on, a multiple of 8.
template <int kBits>
__device__ __forceinline__ void StoreCodes(uint8_t* row, int first, const PackedCodes<kBits>& packed) {
  uint8_t* at = row + first * kBits / 8;
  if constexpr (kBits == 8) {
    *reinterpret_cast<uint2*>(at) = {packed.words[0], packed.words[1]};
  } else {
    *reinterpret_cast<uint32_t*>(at) = packed.words[0];
  }
}

}  // namespace uaqf::cuda
