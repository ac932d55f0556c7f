#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

inline F32 LoadUpTo(const float* x, int64_t left) {
  return left >= kLanes ? Load(x) : left > 0 ? LoadFirst(x, left) : Zero();
}

}  // namespace

float QuantizeToken(const float* x, int64_t size, float given, int8_t* codes, uint8_t* biased, int32_t* prefix) {
  float scale = given;
  if (!(given > 0)) {
    F32 largest = Zero();
    for (int64_t i = 0; i < size; i += kLanes) largest = Max(largest, Abs(LoadUpTo(x + i, size - i)));
    const float absmax = MaxLanes(largest);
    scale = (absmax < 1e-5f ? 1e-5f : absmax) / 127.0f;
  }
  const int64_t padded = (size + 63) / 64 * 64;
  int32_t sum = 0;
  for (int64_t i = 0; i < padded; i += kLanes) {
    const F32 quotient = Div(LoadUpTo(x + i, size - i), Broadcast(scale));
    // Clamped before it is an integer: beyond a given scale there is no limit to the quotient.
    const F32 clamped = Max(Min(quotient, Broadcast(127.0f)), Broadcast(-127.0f));
    StoreBytes(codes + i, ToInt(clamped));
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i));
    const __m128i offset = _mm_xor_si128(bytes, _mm_set1_epi8(static_cast<char>(0x80)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(biased + i), offset);
    const __m128i sums = _mm_sad_epu8(offset, _mm_setzero_si128());  // of eight biased codes each
    prefix[i / 8] = sum;
    sum += _mm_cvtsi128_si32(sums) - 8 * 128;
    prefix[i / 8 + 1] = sum;
    sum += _mm_extract_epi32(sums, 2) - 8 * 128;
  }
  prefix[padded / 8] = sum;
  return scale;
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
