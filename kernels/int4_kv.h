// Caches of keys or of values in INT4. One cache is a pair (scale, zero) of FP16 for every row,
// [kv_heads][capacity][2], then codes [kv_heads][capacity][head_dim / 2], two to a byte.
//
// A row is one position of one head, asymmetric, from values rounded to FP16: scale = FP16((max - min) / 15),
// difference and quotient in FP32, zero = rint(-min / scale), code = rint(value / scale) + zero, both clamped to 0 ..
// 15; the value is then (code - zero) * scale. The scale is rounded before it is used. Where it would be zero, min and
// max take in 0 first, so that a constant row is kept; a scale that is still zero makes zero and all codes 0. (The same
// as kernels/cuda/kv_cache.h, so that both devices compute with the same values.)
//
// Keys are quantized before RoPE and turned when they are read. Byte b of a row holds the two dimensions that RoPE
// turns together: b in its low half, b + head_dim / 2 in the other.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// Bytes of one cache; head_dim is even.
constexpr int64_t Int4KvBytes(int64_t kv_heads, int64_t head_dim, int64_t capacity) {
  return kv_heads * capacity * (4 + head_dim / 2);
}

// Quantizes one token's keys or values, [kv_heads, head_dim] FP32, into `position` of a cache, which is 2-byte aligned.
// Different positions may be written by different threads.
void WriteInt4Kv(const float* source, int64_t kv_heads, int64_t head_dim, int64_t capacity, int64_t position,
                 uint8_t* cache, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
