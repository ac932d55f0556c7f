#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

inline __m128i LoadBytes(const uint8_t* p, int64_t left) {
  if (left >= kLanes) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  alignas(16) uint8_t bytes[16] = {};
  for (int64_t i = 0; i < left; ++i) bytes[i] = p[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

inline F32 LoadUpTo(const float* p, int64_t left) { return left >= kLanes ? Load(p) : LoadFirst(p, left); }

inline void StoreHalfUpTo(uint16_t* p, int64_t left, F32 a) {
  if (left >= kLanes) return StoreHalf(p, a);
  uint16_t lanes[16];
  StoreHalf(lanes, a);
  for (int64_t i = 0; i < left; ++i) p[i] = lanes[i];
}

}  // namespace

void ReadInt4Rows(const Int4Rows& rows) {
  const int64_t half = rows.head_dim / 2;
  const __m128i low_half = _mm_set1_epi8(0x0F);
  for (int64_t i = 0; i < rows.count; ++i) {
    const __m128 pair = _mm_cvtph_ps(_mm_set_epi16(0, 0, 0, 0, 0, 0, static_cast<int16_t>(rows.pairs[2 * i + 1]),
                                                   static_cast<int16_t>(rows.pairs[2 * i])));
    const F32 scale = Broadcast(_mm_cvtss_f32(pair));
    const F32 zero = Broadcast(_mm_cvtss_f32(_mm_movehdup_ps(pair)));
    uint16_t* out = rows.out + i * rows.head_dim;
    for (int64_t d = 0; d < half; d += kLanes) {
      const int64_t left = half - d;
      const __m128i bytes = LoadBytes(rows.codes + i * half + d, left);
      F32 a = FromSignedBytes(_mm_and_si128(bytes, low_half));
      F32 b = FromSignedBytes(_mm_and_si128(_mm_srli_epi16(bytes, 4), low_half));
      a = Mul(Sub(a, zero), scale);
      b = Mul(Sub(b, zero), scale);
      if (rows.cos != nullptr) {
        const F32 cos = LoadUpTo(rows.cos + i * half + d, left);
        const F32 sin = LoadUpTo(rows.sin + i * half + d, left);
        const F32 turned = NegMulAdd(b, sin, Mul(a, cos));
        b = MulAdd(a, sin, Mul(b, cos));
        a = turned;
      }
      StoreHalfUpTo(out + d, left, a);
      StoreHalfUpTo(out + half + d, left, b);
    }
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
