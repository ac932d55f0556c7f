// Quantized caches of keys or of values. One cache is codes [kv_heads][capacity][row bytes], then an FP16 pair (scale,
// zero) of every row: [kv_heads][capacity, rounded up to a multiple of 4][2], so that both can be copied in bulk.
//
// A row is one position of one head, asymmetric: scale = FP16((max - min) / (2^bits - 1)), difference and quotient in
// FP32, zero = rint(-min / scale), code = rint(value / scale) + zero, both clamped to 0 .. 2^bits - 1; the value is
// then (code - zero) * scale. The scale is rounded before it is used. Where it would be zero, min and max take in 0
// first, so that a constant row is kept; a scale that is still zero makes zero and all codes 0.
//
// Keys are quantized before RoPE and turned when they are read. So the two dimensions that RoPE turns together are
// neighbours, in values too: code 2 i is dimension i, code 2 i + 1 is dimension i + head_dim / 2.
//   8 bits: byte c is code c.
//   4 bits: byte b holds codes 2 b (low half) and 2 b + 1. Rows are padded to a multiple of 16 bytes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace uaqf::cuda {

struct KvShape {
  int bits = 16;  // 16: plain FP16 rows, no scales; 8 or 4: quantized
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 16, at most 256
  int capacity = 0;
};

inline constexpr int kKvScaleBytes = 4;  // of a row
inline constexpr int kKvScaleRows = 4;   // rows whose scales fill 16 bytes

__host__ __device__ constexpr int KvRowBytes(int bits, int head_dim) {
  return bits == 4 ? (head_dim / 2 + 15) / 16 * 16 : head_dim * bits / 8;
}
__host__ __device__ constexpr int64_t KvScaleRowsOf(int capacity) {
  return (int64_t{capacity} + kKvScaleRows - 1) / kKvScaleRows * kKvScaleRows;
}
// Where the scales start, in bytes.
__host__ __device__ constexpr int64_t KvScalesOffset(int bits, int kv_heads, int head_dim, int capacity) {
  return int64_t{kv_heads} * capacity * KvRowBytes(bits, head_dim);
}

// Bytes of one cache.
inline int64_t KvCacheBytes(const KvShape& s) {
  const int64_t codes = KvScalesOffset(s.bits, s.kv_heads, s.head_dim, s.capacity);
  return s.bits == 16 ? codes : codes + s.kv_heads * KvScaleRowsOf(s.capacity) * kKvScaleBytes;
}

// Bytes that attention reads of one position: keys, values and their scales, of all heads.
inline int64_t KvPositionBytes(const KvShape& s) {
  return 2 * int64_t{s.kv_heads} * (KvRowBytes(s.bits, s.head_dim) + (s.bits == 16 ? 0 : kKvScaleBytes));
}

}  // namespace uaqf::cuda
