#pragma once

#include "kernels/cpu/packed_layout.h"
#include "kernels/cpu/simd/simd.h"

// How each weight format meets an activation, per instruction set; the loops around are in matvec.cc and matmul.cc.
namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

typedef int32_t __attribute__((may_alias)) Word;  // four codes read at once

static inline F32 LoadGroupScales(const PanelView& view, int64_t panel, int64_t group) {
  return LoadHalf(view.group_scales + (panel * view.groups + group) * kPanelRows);
}

// A group's value is scale * code + offset: the zero goes into the offset.
struct GroupValues {
  F32 scale;
  F32 offset;
};

// Of a view that is affine. All is exact but the sum of a zero's and an offset's part, which rounds once.
static inline GroupValues LoadGroupValues(const PanelView& view, int64_t panel, int64_t group) {
  const int64_t at = (panel * view.groups + group) * kPanelRows;
  const int64_t block = (panel * view.blocks + (group >> view.block_shift)) * kPanelRows;
  F32 scale = LoadHalf(view.group_scales + block);
  if (view.scale_factors != nullptr) scale = Mul(scale, LoadSigned(view.scale_factors + at));
  F32 offset = Zero();
  if (view.group_offsets != nullptr) offset = LoadHalf(view.group_offsets + block);
  if (view.offset_factors != nullptr) offset = Mul(offset, LoadSigned(view.offset_factors + at));
  const F32 zero = view.group_zeros != nullptr ? LoadSigned(view.group_zeros + at) : Broadcast(view.zero);
  return {scale, NegMulAdd(zero, scale, offset)};
}

// A line (64 bytes) of INT8 weights to FP32, column by column.
template <int kColumn>
static inline F32 Int8Column(I32 line) {
  return ToFloat(ShiftRight<24>(ShiftLeft<24 - 8 * kColumn>(line)));
}

// The same times 2^24, which saves a shift: the byte moves to the top of its lane. Multiply the sum by
// kInt8ColumnShift.
constexpr float kInt8ColumnShift = 0x1p-24f;
template <int kColumn>
static inline F32 Int8ColumnShifted(I32 line) {
  constexpr char kNone = static_cast<char>(0x80);  // zero byte
  const __m128i pick = _mm_setr_epi8(kNone, kNone, kNone, kColumn, kNone, kNone, kNone, kColumn + 4, kNone, kNone,
                                     kNone, kColumn + 8, kNone, kNone, kNone, kColumn + 12);
  return ToFloat(PermuteBytes(line, pick));
}

// Sums of the INT8 codes of a panel over lines [begin, end), for groups; whole rows have row_sums.
static inline I32 CodeSums(const uint8_t* data, int64_t begin, int64_t end) {
  I32 sum = BroadcastInt(0);
  for (int64_t line = begin; line < end; ++line) {
    const I32 codes = LoadInt(data + line * 64);
    sum = Add(sum, Add(Add(ShiftRight<24>(ShiftLeft<24>(codes)), ShiftRight<24>(ShiftLeft<16>(codes))),
                       Add(ShiftRight<24>(ShiftLeft<8>(codes)), ShiftRight<24>(codes))));
  }
  return sum;
}

// Nibble kNibble of each word of INT4 weights to FP32; it belongs to column Int4Column(kNibble).
constexpr int Int4Column(int nibble) { return nibble / 2 + nibble % 2 * 4; }

#if defined(__AVX512F__)

constexpr bool kInt8Biased = true;  // sums of INT8 weights hold 128 * sum of the weights

// Nibble at bit kBit of each lane to FP32. Bits 0..3: the permutation reads just those. Bits 4..19: put under the
// exponent at which they count ones, then less that exponent's value and the code's offset; all of it is exact. The two
// ways use different ports, and shifts, which share theirs with the permutation, are needed for three nibbles only
// once.
template <int kBit>
static inline F32 NibbleAt(__m512i words) {
  if constexpr (kBit == 0) {
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    return {_mm512_permutexvar_ps(words, values)};
  } else {
    static_assert(kBit <= 16);
    constexpr float kOne = static_cast<float>(1 << (23 - kBit));
    const __m512i exponent = _mm512_castps_si512(_mm512_set1_ps(kOne));
    constexpr int kAndOr = 0xea;
    const __m512i bits = _mm512_ternarylogic_epi32(words, _mm512_set1_epi32(0xf << kBit), exponent, kAndOr);
    return {_mm512_sub_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(kOne + kInt4Zero))};
  }
}

template <int kNibble>
static inline F32 Int4Nibble(I32 words) {
  if constexpr (kNibble <= 4) {
    return NibbleAt<4 * kNibble>(words.v);
  } else {
    return NibbleAt<4 * kNibble - 20>(_mm512_srli_epi32(words.v, 20));
  }
}

static inline const Word* Int8Words(const Int8Vector& x) { return reinterpret_cast<const Word*>(x.biased); }
static inline I32 DotInt8(I32 sum, I32 line, I32 word) { return {_mm512_dpbusd_epi32(sum.v, word.v, line.v)}; }
static inline I32 LowNibbles(I32 words) { return And(words, {_mm512_set1_epi8(0xf)}); }
static inline I32 HighNibbles(I32 words) { return LowNibbles({_mm512_srli_epi32(words.v, 4)}); }
static inline I32 DotInt4(I32 sum, I32 nibbles, I32 word) { return {_mm512_dpbusd_epi32(sum.v, nibbles.v, word.v)}; }

#else

constexpr bool kInt8Biased = false;

template <int kNibble>
static inline F32 Int4Nibble(I32 words) {
  // A nibble holds code + 8: flipping its top bit gives two's complement, which the shifts extend.
  const __m256i top = _mm256_set1_epi8(static_cast<char>(0x88));
  const I32 codes = {_mm256_xor_si256(words.lo, top), _mm256_xor_si256(words.hi, top)};
  return ToFloat(ShiftRight<28>(ShiftLeft<28 - 4 * kNibble>(codes)));
}

static inline const Word* Int8Words(const Int8Vector& x) { return reinterpret_cast<const Word*>(x.codes); }
static inline __m256i DotUnsigned(__m256i sum, __m256i magnitudes, __m256i codes) {
  // No pair saturates 16 bits: 2 * 128 * 127 is the largest.
  const __m256i pairs = _mm256_maddubs_epi16(magnitudes, codes);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
static inline I32 DotInt8(I32 sum, I32 line, I32 word) {
  // The sign moves from the weight to the activation, which is never -128; |-128| is 128 as an unsigned byte.
  return {DotUnsigned(sum.lo, _mm256_abs_epi8(line.lo), _mm256_sign_epi8(word.lo, line.lo)),
          DotUnsigned(sum.hi, _mm256_abs_epi8(line.hi), _mm256_sign_epi8(word.hi, line.hi))};
}
static inline I32 LowNibbles(I32 words) {
  const __m256i mask = _mm256_set1_epi8(0xf);
  return And(words, {mask, mask});
}
static inline I32 HighNibbles(I32 words) {
  return LowNibbles({_mm256_srli_epi32(words.lo, 4), _mm256_srli_epi32(words.hi, 4)});
}
static inline I32 DotInt4(I32 sum, I32 nibbles, I32 word) {
  return {DotUnsigned(sum.lo, nibbles.lo, word.lo), DotUnsigned(sum.hi, nibbles.hi, word.hi)};
}

#endif

// Sum of the codes of x that meet lines [begin, end); begin is at a multiple of eight columns.
template <PanelFormat kFormat>
static inline int32_t CodeSum(const Int8Vector& x, int64_t begin, int64_t end) {
  constexpr int64_t kLines = 8 / (kFormat == PanelFormat::kInt8 ? kInt8Unit : kInt4Unit);
  return x.prefix[(end + kLines - 1) / kLines] - x.prefix[begin / kLines];
}

// What a line of INT4 weights meets: two words of four codes for each.
static inline const Word* Int4Words(const Int8Vector& x) { return reinterpret_cast<const Word*>(x.codes); }

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
