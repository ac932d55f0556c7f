#pragma once

#include <immintrin.h>

#include <cstdint>

// Sixteen lanes of FP32 or int32, in one register (AVX-512) or two (AVX2). The files of this folder are compiled once
// for each set, into namespaces of their own: no function of the standard library may be instantiated in them, since
// the linker could keep its AVX copy for the whole program.
#if defined(__AVX512F__)
#define UAQF_SIMD_NAMESPACE avx512
#else
#define UAQF_SIMD_NAMESPACE avx2
#endif

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

constexpr int64_t kLanes = 16;

#if defined(__AVX512F__)

struct F32 {
  __m512 v;
};
struct I32 {
  __m512i v;
};

static inline F32 Zero() { return {_mm512_setzero_ps()}; }
static inline F32 Broadcast(float x) { return {_mm512_set1_ps(x)}; }
static inline F32 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
static inline void Store(float* p, F32 a) { _mm512_storeu_ps(p, a.v); }
static inline __mmask16 FirstLanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
static inline F32 LoadFirst(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(FirstLanes(n), p)}; }
static inline void StoreFirst(float* p, int64_t n, F32 a) { _mm512_mask_storeu_ps(p, FirstLanes(n), a.v); }
static inline F32 LoadHalf(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
static inline F32 LoadHalfFirst(const uint16_t* p, int64_t n) {
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(FirstLanes(n), p))};
}
static inline F32 FromSignedBytes(__m128i bytes) { return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))}; }
static inline void StoreHalf(uint16_t* p, F32 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline F32 Add(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline F32 Sub(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline F32 Mul(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline F32 Div(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline F32 Min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
static inline F32 Max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
static inline F32 Abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
static inline F32 MulAdd(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
static inline F32 NegMulAdd(F32 a, F32 b, F32 c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
static inline F32 Round(F32 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
static inline I32 ToInt(F32 a) { return {_mm512_cvtps_epi32(a.v)}; }  // half to even
static inline F32 ToFloat(I32 a) { return {_mm512_cvtepi32_ps(a.v)}; }
static inline I32 BroadcastInt(int32_t x) { return {_mm512_set1_epi32(x)}; }
static inline I32 LoadInt(const void* p) { return {_mm512_loadu_si512(p)}; }
static inline void StoreInt(void* p, I32 a) { _mm512_storeu_si512(p, a.v); }
static inline I32 Add(I32 a, I32 b) { return {_mm512_add_epi32(a.v, b.v)}; }
static inline I32 Sub(I32 a, I32 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
static inline I32 And(I32 a, I32 b) { return {_mm512_and_si512(a.v, b.v)}; }
static inline I32 Min(I32 a, I32 b) { return {_mm512_min_epi32(a.v, b.v)}; }
static inline I32 Max(I32 a, I32 b) { return {_mm512_max_epi32(a.v, b.v)}; }
template <int kBits>
static inline I32 ShiftLeft(I32 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
static inline I32 ShiftRight(I32 a) {  // arithmetic
  return {_mm512_srai_epi32(a.v, kBits)};
}
// Within each 128 bits, as _mm_shuffle_epi8.
static inline I32 PermuteBytes(I32 a, __m128i order) {
  return {_mm512_shuffle_epi8(a.v, _mm512_broadcast_i32x4(order))};
}
static inline F32 AsFloat(I32 a) { return {_mm512_castsi512_ps(a.v)}; }
static inline float SumLanes(F32 a) { return _mm512_reduce_add_ps(a.v); }
static inline float MaxLanes(F32 a) { return _mm512_reduce_max_ps(a.v); }
static inline __m256 FoldHalves(F32 a) {
  return _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
}
static inline double SumLanesDouble(F32 a) {
  return _mm512_reduce_add_pd(
      _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a.v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1))));
}
static inline uint32_t EqualMask(F32 a, F32 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ); }
static inline void StoreBytes(int8_t* p, I32 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}

#else

struct F32 {
  __m256 lo, hi;
};
struct I32 {
  __m256i lo, hi;
};

static inline F32 Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static inline F32 Broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static inline F32 Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void Store(float* p, F32 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
static inline F32 LoadFirst(const float* p, int64_t n) {
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return Load(lanes);
}
static inline void StoreFirst(float* p, int64_t n, F32 a) {
  float lanes[16];
  Store(lanes, a);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
static inline F32 LoadHalf(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
static inline F32 LoadHalfFirst(const uint16_t* p, int64_t n) {
  uint16_t lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return LoadHalf(lanes);
}
static inline F32 FromSignedBytes(__m128i bytes) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes)))};
}
static inline void StoreHalf(uint16_t* p, F32 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
static inline F32 Add(F32 a, F32 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static inline F32 Sub(F32 a, F32 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static inline F32 Mul(F32 a, F32 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static inline F32 Div(F32 a, F32 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
static inline F32 Min(F32 a, F32 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
static inline F32 Max(F32 a, F32 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
static inline F32 Abs(F32 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
static inline F32 MulAdd(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline F32 NegMulAdd(F32 a, F32 b, F32 c) {
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
static inline F32 Round(F32 a) {
  return {_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline I32 ToInt(F32 a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }  // half to even
static inline F32 ToFloat(I32 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
static inline I32 BroadcastInt(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
static inline I32 LoadInt(const void* p) {
  const __m256i* words = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(words), _mm256_loadu_si256(words + 1)};
}
static inline void StoreInt(void* p, I32 a) {
  __m256i* words = static_cast<__m256i*>(p);
  _mm256_storeu_si256(words, a.lo);
  _mm256_storeu_si256(words + 1, a.hi);
}
static inline I32 Add(I32 a, I32 b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
static inline I32 Sub(I32 a, I32 b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
static inline I32 And(I32 a, I32 b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
static inline I32 Min(I32 a, I32 b) { return {_mm256_min_epi32(a.lo, b.lo), _mm256_min_epi32(a.hi, b.hi)}; }
static inline I32 Max(I32 a, I32 b) { return {_mm256_max_epi32(a.lo, b.lo), _mm256_max_epi32(a.hi, b.hi)}; }
template <int kBits>
static inline I32 ShiftLeft(I32 a) {
  return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
}
template <int kBits>
static inline I32 ShiftRight(I32 a) {  // arithmetic
  return {_mm256_srai_epi32(a.lo, kBits), _mm256_srai_epi32(a.hi, kBits)};
}
static inline I32 PermuteBytes(I32 a, __m128i order) {
  const __m256i both = _mm256_broadcastsi128_si256(order);
  return {_mm256_shuffle_epi8(a.lo, both), _mm256_shuffle_epi8(a.hi, both)};
}
static inline F32 AsFloat(I32 a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
static inline float SumLanes(F32 a) {
  __m256 sum = _mm256_add_ps(a.lo, a.hi);
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
static inline float MaxLanes(F32 a) {
  __m256 largest = _mm256_max_ps(a.lo, a.hi);
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
static inline __m256 FoldHalves(F32 a) { return _mm256_add_ps(a.lo, a.hi); }
static inline double SumLanesDouble(F32 a) {
  __m256d sum = _mm256_add_pd(
      _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a.lo)), _mm256_cvtps_pd(_mm256_extractf128_ps(a.lo, 1))),
      _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a.hi)), _mm256_cvtps_pd(_mm256_extractf128_ps(a.hi, 1))));
  const __m128d half = _mm_add_pd(_mm256_castpd256_pd128(sum), _mm256_extractf128_pd(sum, 1));
  return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}
static inline uint32_t EqualMask(F32 a, F32 b) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ))) |
         static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ))) << 8;
}
static inline void StoreBytes(int8_t* p, I32 a) {
  // The 256-bit packs work within 128-bit halves: pack those of both registers in the order of the lanes.
  const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(a.lo), _mm256_extracti128_si256(a.lo, 1));
  const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(a.hi), _mm256_extracti128_si256(a.hi, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(low, high));
}

#endif

static inline F32 LoadSigned(const int8_t* p) {
  return FromSignedBytes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// The sums of the lanes of each of four registers.
static inline __m128 SumLanesOfFour(F32 a, F32 b, F32 c, F32 d) {
  const __m256 ab = _mm256_hadd_ps(FoldHalves(a), FoldHalves(b));
  const __m256 cd = _mm256_hadd_ps(FoldHalves(c), FoldHalves(d));
  const __m256 abcd = _mm256_hadd_ps(ab, cd);
  return _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1));
}

// exp to 2 ulp for results in the normal range: 2^n * e^r with |r| <= ln(2) / 2, a polynomial of degree 7 in r.
// Arguments are clamped to [-88, 89]: below, the result is under FP32's normal range; above, infinity.
static inline F32 Exp(F32 x) {
  const F32 clamped = Min(Max(x, Broadcast(-88.0f)), Broadcast(89.0f));
  const F32 n = Round(Mul(clamped, Broadcast(1.44269504f)));
  F32 r = NegMulAdd(n, Broadcast(0.693359375f), clamped);
  r = NegMulAdd(n, Broadcast(-2.12194440e-4f), r);
  F32 p = Broadcast(1.9875691500e-4f);
  p = MulAdd(p, r, Broadcast(1.3981999507e-3f));
  p = MulAdd(p, r, Broadcast(8.3334519073e-3f));
  p = MulAdd(p, r, Broadcast(4.1665795894e-2f));
  p = MulAdd(p, r, Broadcast(1.6666665459e-1f));
  p = MulAdd(p, r, Broadcast(5.0000001201e-1f));
  p = MulAdd(p, Mul(r, r), Add(r, Broadcast(1.0f)));
  // 2^n in two factors, since n may be 128 or -127, beyond the exponent of one normal float.
  const I32 whole = ToInt(n);
  const I32 first = ShiftRight<1>(whole);
  const I32 second = Sub(whole, first);
  const I32 bias = BroadcastInt(127);
  const F32 low = AsFloat(ShiftLeft<23>(Add(first, bias)));
  const F32 high = AsFloat(ShiftLeft<23>(Add(second, bias)));
  return Mul(Mul(p, low), high);
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
