// Products of packed panels with one vector. A lane is a row, so sums stay in their lanes; several panels are walked at
// once, so that a broadcast activation serves them all and enough independent sums are in flight.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/dot.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

// How far ahead of use the lines of a panel are asked for.
constexpr int64_t kPrefetchBytes = 1024;

inline I32 LoadLine(const uint8_t* line) {
  _mm_prefetch(reinterpret_cast<const char*>(line) + kPrefetchBytes, _MM_HINT_T0);
  return LoadInt(line);
}

// Each decoder adds one line of each panel, kUnit columns, times x to two sums of that panel.
struct Fp16Decoder {
  static constexpr int64_t kUnit = 2;
  template <int kPanels>
  static inline void Step(const uint8_t* const (&data)[kPanels], int64_t offset, const float* x,
                          F32 (&acc)[kPanels][2]) {
    const F32 x0 = Broadcast(x[0]);
    const F32 x1 = Broadcast(x[1]);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      const uint16_t* halves = reinterpret_cast<const uint16_t*>(data[p] + offset);
      _mm_prefetch(reinterpret_cast<const char*>(halves) + kPrefetchBytes, _MM_HINT_T0);
      acc[p][0] = MulAdd(LoadHalf(halves), x0, acc[p][0]);
      acc[p][1] = MulAdd(LoadHalf(halves + 16), x1, acc[p][1]);
    }
  }
};

struct Int8Decoder {
  static constexpr int64_t kUnit = kInt8Unit;
  template <int kPanels>
  static inline void Step(const uint8_t* const (&data)[kPanels], int64_t offset, const float* x,
                          F32 (&acc)[kPanels][2]) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      const I32 line = LoadLine(data[p] + offset);
      acc[p][0] = MulAdd(Int8Column<0>(line), Broadcast(x[0]), acc[p][0]);
      acc[p][1] = MulAdd(Int8Column<1>(line), Broadcast(x[1]), acc[p][1]);
      acc[p][0] = MulAdd(Int8Column<2>(line), Broadcast(x[2]), acc[p][0]);
      acc[p][1] = MulAdd(Int8Column<3>(line), Broadcast(x[3]), acc[p][1]);
    }
  }
};

struct Int4Decoder {
  static constexpr int64_t kUnit = kInt4Unit;
  template <int kPanels>
  static inline void Step(const uint8_t* const (&data)[kPanels], int64_t offset, const float* x,
                          F32 (&acc)[kPanels][2]) {
    I32 words[kPanels];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) words[p] = LoadLine(data[p] + offset);
    Nibbles<0, kPanels>(words, x, acc);
    Nibbles<2, kPanels>(words, x, acc);
    Nibbles<4, kPanels>(words, x, acc);
    Nibbles<6, kPanels>(words, x, acc);
  }
  template <int kNibble, int kPanels>
  static inline void Nibbles(const I32 (&words)[kPanels], const float* x, F32 (&acc)[kPanels][2]) {
    const F32 x0 = Broadcast(x[Int4Column(kNibble)]);
    const F32 x1 = Broadcast(x[Int4Column(kNibble + 1)]);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      acc[p][0] = MulAdd(Int4Nibble<kNibble>(words[p]), x0, acc[p][0]);
      acc[p][1] = MulAdd(Int4Nibble<kNibble + 1>(words[p]), x1, acc[p][1]);
    }
  }
};

// sum[p] = columns [begin, end) of each panel times x; begin is a multiple of the unit.
template <typename Decoder, int kPanels>
inline void FloatRange(const uint8_t* const (&data)[kPanels], const float* x, int64_t begin, int64_t end,
                       F32 (&sum)[kPanels]) {
  constexpr int64_t kUnit = Decoder::kUnit;
  F32 acc[kPanels][2];
  for (int p = 0; p < kPanels; ++p) acc[p][0] = acc[p][1] = Zero();
  const int64_t whole = end - (end - begin) % kUnit;
  int64_t col = begin;
  for (; col < whole; col += kUnit) Decoder::template Step<kPanels>(data, col / kUnit * 64, x + col, acc);
  if (col < end) {
    float tail[kInt4Unit] = {};
    for (int64_t i = 0; col + i < end; ++i) tail[i] = x[col + i];
    Decoder::template Step<kPanels>(data, col / kUnit * 64, tail, acc);
  }
  for (int p = 0; p < kPanels; ++p) sum[p] = Add(acc[p][0], acc[p][1]);
}

template <typename Decoder, int kPanels>
inline void FloatPanelSet(const PanelView& view, const float* x, int64_t panel, float* out) {
  const uint8_t* data[kPanels];
  for (int p = 0; p < kPanels; ++p) data[p] = view.data + (panel + p) * view.panel_bytes;
  F32 total[kPanels];
  if (view.group_size == 0) {
    FloatRange<Decoder, kPanels>(data, x, 0, view.cols, total);
    for (int p = 0; p < kPanels && view.scales != nullptr; ++p) {
      total[p] = Mul(total[p], Load(view.scales + (panel + p) * kPanelRows));
    }
  } else {
    for (int p = 0; p < kPanels; ++p) total[p] = Zero();
    for (int64_t group = 0; group < view.groups; ++group) {
      const int64_t begin = group * view.group_size;
      const int64_t end = begin + view.group_size < view.cols ? begin + view.group_size : view.cols;
      F32 sum[kPanels];
      FloatRange<Decoder, kPanels>(data, x, begin, end, sum);
      for (int p = 0; p < kPanels; ++p) total[p] = MulAdd(sum[p], LoadGroupScales(view, panel + p, group), total[p]);
    }
  }
  for (int p = 0; p < kPanels; ++p) Store(out + p * kPanelRows, total[p]);
}

template <typename Decoder, int kPanels>
void FloatAll(const PanelView& view, const float* x, int64_t begin, int64_t end, float* out) {
  int64_t panel = begin;
  for (; panel + kPanels <= end; panel += kPanels, out += kPanels * kPanelRows) {
    FloatPanelSet<Decoder, kPanels>(view, x, panel, out);
  }
  for (; panel < end; ++panel, out += kPanelRows) FloatPanelSet<Decoder, 1>(view, x, panel, out);
}

// int32 sums of code products over lines [begin, end) of each panel, with the offset of the unsigned side in them.
template <PanelFormat kFormat, int kPanels>
inline void Int8Range(const uint8_t* const (&data)[kPanels], const Int8Vector& x, int64_t begin, int64_t end,
                      I32 (&sum)[kPanels]) {
  I32 acc[kPanels][2];
  for (int p = 0; p < kPanels; ++p) acc[p][0] = acc[p][1] = BroadcastInt(0);
  int64_t line = begin;
  if constexpr (kFormat == PanelFormat::kInt8) {
    for (; line + 1 < end; line += 2) {
      const I32 x0 = Int8Word(x, line);
      const I32 x1 = Int8Word(x, line + 1);
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        acc[p][0] = DotInt8(acc[p][0], LoadLine(data[p] + line * 64), x0);
        acc[p][1] = DotInt8(acc[p][1], LoadLine(data[p] + line * 64 + 64), x1);
      }
    }
    for (; line < end; ++line) {
      const I32 x0 = Int8Word(x, line);
      for (int p = 0; p < kPanels; ++p) acc[p][0] = DotInt8(acc[p][0], LoadLine(data[p] + line * 64), x0);
    }
  } else {
    for (; line < end; ++line) {
      const I32 x0 = Int4WordLow(x, line);
      const I32 x1 = Int4WordHigh(x, line);
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        const I32 words = LoadLine(data[p] + line * 64);
        acc[p][0] = DotInt4(acc[p][0], LowNibbles(words), x0);
        acc[p][1] = DotInt4(acc[p][1], HighNibbles(words), x1);
      }
    }
  }
  for (int p = 0; p < kPanels; ++p) sum[p] = Add(acc[p][0], acc[p][1]);
}

// Sums of a panel's INT8 codes over lines [begin, end), for groups; whole rows have row_sums.
inline I32 CodeSums(const uint8_t* data, int64_t begin, int64_t end) {
  I32 sum = BroadcastInt(0);
  for (int64_t line = begin; line < end; ++line) {
    const I32 codes = LoadInt(data + line * 64);
    sum = Add(sum, Add(Add(ShiftRight<24>(ShiftLeft<24>(codes)), ShiftRight<24>(ShiftLeft<16>(codes))),
                       Add(ShiftRight<24>(ShiftLeft<8>(codes)), ShiftRight<24>(codes))));
  }
  return sum;
}

template <PanelFormat kFormat>
inline I32 GroupOffset(const uint8_t* data, const Int8Vector& x, int64_t begin, int64_t end) {
  if constexpr (kFormat == PanelFormat::kInt4) {
    return BroadcastInt(kInt4Zero * (x.prefix[end] - x.prefix[begin]));
  } else if constexpr (kInt8Biased) {
    return ShiftLeft<7>(CodeSums(data, begin, end));
  } else {
    return BroadcastInt(0);
  }
}

template <PanelFormat kFormat>
inline I32 RowOffset(const PanelView& view, const Int8Vector& x, int64_t row, int64_t lines) {
  if constexpr (kFormat == PanelFormat::kInt4) {
    return BroadcastInt(kInt4Zero * x.prefix[lines]);
  } else if constexpr (kInt8Biased) {
    return ShiftLeft<7>(LoadInt(view.row_sums + row));
  } else {
    return BroadcastInt(0);
  }
}

template <PanelFormat kFormat, int kPanels>
inline void Int8PanelSet(const PanelView& view, const Int8Vector& x, int64_t panel, float* out) {
  constexpr int64_t kUnit = kFormat == PanelFormat::kInt8 ? kInt8Unit : kInt4Unit;
  const int64_t lines = (view.cols + kUnit - 1) / kUnit;
  const uint8_t* data[kPanels];
  for (int p = 0; p < kPanels; ++p) data[p] = view.data + (panel + p) * view.panel_bytes;
  F32 total[kPanels];
  I32 sum[kPanels];
  if (view.group_size == 0) {
    Int8Range<kFormat, kPanels>(data, x, 0, lines, sum);
    for (int p = 0; p < kPanels; ++p) {
      const int64_t row = (panel + p) * kPanelRows;
      total[p] = Mul(ToFloat(Sub(sum[p], RowOffset<kFormat>(view, x, row, lines))), Load(view.scales + row));
    }
  } else {
    for (int p = 0; p < kPanels; ++p) total[p] = Zero();
    const int64_t group_lines = view.group_size / kUnit;
    for (int64_t group = 0; group < view.groups; ++group) {
      const int64_t begin = group * group_lines;
      const int64_t end = begin + group_lines < lines ? begin + group_lines : lines;
      Int8Range<kFormat, kPanels>(data, x, begin, end, sum);
      for (int p = 0; p < kPanels; ++p) {
        const F32 codes = ToFloat(Sub(sum[p], GroupOffset<kFormat>(data[p], x, begin, end)));
        total[p] = MulAdd(codes, LoadGroupScales(view, panel + p, group), total[p]);
      }
    }
  }
  for (int p = 0; p < kPanels; ++p) Store(out + p * kPanelRows, Mul(total[p], Broadcast(x.scale)));
}

template <PanelFormat kFormat, int kPanels>
void Int8All(const PanelView& view, const Int8Vector& x, int64_t begin, int64_t end, float* out) {
  int64_t panel = begin;
  for (; panel + kPanels <= end; panel += kPanels, out += kPanels * kPanelRows) {
    Int8PanelSet<kFormat, kPanels>(view, x, panel, out);
  }
  for (; panel < end; ++panel, out += kPanelRows) Int8PanelSet<kFormat, 1>(view, x, panel, out);
}

#ifndef KS16
#define KS16 2
#define KS8 2
#define KS4 4
#endif

}  // namespace

void FloatPanels(const PanelView& view, const float* x, int64_t begin, int64_t end, float* out) {
  switch (view.format) {
    case PanelFormat::kFp16:
      return FloatAll<Fp16Decoder, KS16>(view, x, begin, end, out);
    case PanelFormat::kInt8:
      return FloatAll<Int8Decoder, KS8>(view, x, begin, end, out);
    case PanelFormat::kInt4:
      return FloatAll<Int4Decoder, KS4>(view, x, begin, end, out);
  }
}

void Int8Panels(const PanelView& view, const Int8Vector& x, int64_t begin, int64_t end, float* out) {
  if (view.format == PanelFormat::kInt8) {
    Int8All<PanelFormat::kInt8, KS8>(view, x, begin, end, out);
  } else {
    Int8All<PanelFormat::kInt4, KS4>(view, x, begin, end, out);
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
