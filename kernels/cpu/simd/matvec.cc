// Products of packed panels with one vector. A lane is a row, so sums stay in their lanes. One panel after the other is
// read as a single forward stream: on Zen 5 that reaches the read bandwidth of memory, and two streams at once 20 to 40
// % less. Several sums hide the latency of the additions.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/dot.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

// How far ahead of use a line is asked for. The panels of a lane are contiguous, so little of it is wasted.
constexpr int64_t kPrefetchBytes = 4096;

inline void Prefetch(const uint8_t* line) {
  _mm_prefetch(reinterpret_cast<const char*>(line) + kPrefetchBytes, _MM_HINT_T0);
}

inline I32 LoadLine(const uint8_t* line) {
  Prefetch(line);
  return LoadInt(line);
}

// Each decoder adds one line, kUnit columns of a panel, times x to kSums sums; kFactor times their total is the result.
struct Fp16Decoder {
  static constexpr int64_t kUnit = 2;
  static constexpr int kSums = 2;
  static constexpr float kFactor = 1;
  static inline void Step(const uint8_t* line, const float* x, F32* acc) {
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(line);
    Prefetch(line);
    acc[0] = MulAdd(LoadHalf(halves), Broadcast(x[0]), acc[0]);
    acc[1] = MulAdd(LoadHalf(halves + kPanelRows), Broadcast(x[1]), acc[1]);
  }
};

struct Int8Decoder {
  static constexpr int64_t kUnit = kInt8Unit;
  static constexpr int kSums = 2;
  static constexpr float kFactor = kInt8ColumnShift;
  static inline void Step(const uint8_t* line, const float* x, F32* acc) {
    const I32 codes = LoadLine(line);
    acc[0] = MulAdd(Int8ColumnShifted<0>(codes), Broadcast(x[0]), acc[0]);
    acc[1] = MulAdd(Int8ColumnShifted<1>(codes), Broadcast(x[1]), acc[1]);
    acc[0] = MulAdd(Int8ColumnShifted<2>(codes), Broadcast(x[2]), acc[0]);
    acc[1] = MulAdd(Int8ColumnShifted<3>(codes), Broadcast(x[3]), acc[1]);
  }
};

struct Int4Decoder {
  static constexpr int64_t kUnit = kInt4Unit;
  static constexpr int kSums = 4;
  static constexpr float kFactor = 1;
  static inline void Step(const uint8_t* line, const float* x, F32* acc) {
    const I32 words = LoadLine(line);
    acc[0] = MulAdd(Int4Nibble<0>(words), Broadcast(x[Int4Column(0)]), acc[0]);
    acc[1] = MulAdd(Int4Nibble<1>(words), Broadcast(x[Int4Column(1)]), acc[1]);
    acc[2] = MulAdd(Int4Nibble<2>(words), Broadcast(x[Int4Column(2)]), acc[2]);
    acc[3] = MulAdd(Int4Nibble<3>(words), Broadcast(x[Int4Column(3)]), acc[3]);
    acc[0] = MulAdd(Int4Nibble<4>(words), Broadcast(x[Int4Column(4)]), acc[0]);
    acc[1] = MulAdd(Int4Nibble<5>(words), Broadcast(x[Int4Column(5)]), acc[1]);
    acc[2] = MulAdd(Int4Nibble<6>(words), Broadcast(x[Int4Column(6)]), acc[2]);
    acc[3] = MulAdd(Int4Nibble<7>(words), Broadcast(x[Int4Column(7)]), acc[3]);
  }
};

// Columns [begin, end) of a panel times x; begin is a multiple of the unit. Even and odd lines have sums of their own.
// Inlined by force: a call would pass AVX2's pair of registers through memory, a fifth of the time of a short group.
template <typename Decoder>
[[gnu::always_inline]] inline F32 FloatRange(const uint8_t* data, const float* x, int64_t begin, int64_t end) {
  constexpr int64_t kUnit = Decoder::kUnit;
  constexpr int kSums = Decoder::kSums;
  F32 acc[2 * kSums];
#pragma GCC unroll 8
  for (int i = 0; i < 2 * kSums; ++i) acc[i] = Zero();
  const uint8_t* line = data + begin / kUnit * 64;
  int64_t col = begin;
  for (; col + 2 * kUnit <= end; col += 2 * kUnit, line += 128) {
    Decoder::Step(line, x + col, acc);
    Decoder::Step(line + 64, x + col + kUnit, acc + kSums);
  }
  if (col + kUnit <= end) {
    Decoder::Step(line, x + col, acc);
    col += kUnit;
    line += 64;
  }
  if (col < end) {
    float tail[kInt4Unit] = {};
    for (int64_t i = 0; col + i < end; ++i) tail[i] = x[col + i];
    Decoder::Step(line, tail, acc + kSums);
  }
  F32 total = Add(Add(acc[0], acc[kSums]), Add(acc[1], acc[kSums + 1]));
  if constexpr (kSums == 4) total = Add(total, Add(Add(acc[2], acc[6]), Add(acc[3], acc[7])));
  return Decoder::kFactor == 1 ? total : Mul(total, Broadcast(Decoder::kFactor));
}

template <typename Decoder, bool kAffine>
inline F32 FloatPanel(const PanelView& view, const FloatVector& x, int64_t panel) {
  const uint8_t* data = view.data + panel * view.panel_bytes;
  if (!kAffine && view.group_size == 0) {
    const F32 sum = FloatRange<Decoder>(data, x.x, 0, view.cols);
    return view.scales != nullptr ? Mul(sum, Load(view.scales + panel * kPanelRows)) : sum;
  }
  F32 total = Zero();
  for (int64_t group = 0; group < view.groups; ++group) {
    const int64_t begin = group * view.group_size;
    const int64_t end = begin + view.group_size < view.cols ? begin + view.group_size : view.cols;
    const F32 codes = FloatRange<Decoder>(data, x.x, begin, end);
    if constexpr (kAffine) {
      const GroupValues values = LoadGroupValues(view, panel, group);
      total = MulAdd(Broadcast(x.group_sums[group]), values.offset, MulAdd(codes, values.scale, total));
    } else {
      total = MulAdd(codes, LoadGroupScales(view, panel, group), total);
    }
  }
  return total;
}

template <typename Decoder, bool kAffine = false>
void FloatAll(const PanelView& view, const FloatVector& x, int64_t begin, int64_t end, float* out) {
  for (int64_t panel = begin; panel < end; ++panel, out += kPanelRows) {
    Store(out, FloatPanel<Decoder, kAffine>(view, x, panel));
  }
}

// int32 sums of code products over lines [begin, end) of a panel, with the offset of the unsigned side in them.
template <PanelFormat kFormat>
inline I32 Int8Range(const uint8_t* data, const Int8Vector& x, int64_t begin, int64_t end) {
  I32 acc[4] = {BroadcastInt(0), BroadcastInt(0), BroadcastInt(0), BroadcastInt(0)};
  int64_t line = begin;
  if constexpr (kFormat == PanelFormat::kInt8) {
    const Word* words = Int8Words(x);
    for (; line + 4 <= end; line += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        acc[i] = DotInt8(acc[i], LoadLine(data + (line + i) * 64), BroadcastInt(words[line + i]));
      }
    }
    for (; line < end; ++line) acc[0] = DotInt8(acc[0], LoadLine(data + line * 64), BroadcastInt(words[line]));
  } else {
    const Word* words = Int4Words(x);
    for (; line + 2 <= end; line += 2) {
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const I32 weights = LoadLine(data + (line + i) * 64);
        acc[i] = DotInt4(acc[i], LowNibbles(weights), BroadcastInt(words[2 * (line + i)]));
        acc[i + 2] = DotInt4(acc[i + 2], HighNibbles(weights), BroadcastInt(words[2 * (line + i) + 1]));
      }
    }
    if (line < end) {
      const I32 weights = LoadLine(data + line * 64);
      acc[0] = DotInt4(acc[0], LowNibbles(weights), BroadcastInt(words[2 * line]));
      acc[2] = DotInt4(acc[2], HighNibbles(weights), BroadcastInt(words[2 * line + 1]));
    }
  }
  return Add(Add(acc[0], acc[1]), Add(acc[2], acc[3]));
}

// What the unsigned side's bias added to the sums of lines [begin, end).
template <PanelFormat kFormat>
inline I32 GroupOffset(const uint8_t* data, const Int8Vector& x, int64_t begin, int64_t end) {
  if constexpr (kFormat == PanelFormat::kInt4) {
    return BroadcastInt(kInt4Zero * (x.prefix[end] - x.prefix[begin]));
  } else {
    return kInt8Biased ? ShiftLeft<7>(CodeSums(data, begin, end)) : BroadcastInt(0);
  }
}

template <PanelFormat kFormat>
inline I32 RowOffset(const PanelView& view, const Int8Vector& x, int64_t row, int64_t lines) {
  if constexpr (kFormat == PanelFormat::kInt4) {
    return BroadcastInt(kInt4Zero * x.prefix[lines]);
  } else {
    return kInt8Biased ? ShiftLeft<7>(LoadInt(view.row_sums + row)) : BroadcastInt(0);
  }
}

template <PanelFormat kFormat, bool kAffine>
inline F32 Int8Panel(const PanelView& view, const Int8Vector& x, int64_t panel) {
  constexpr int64_t kUnit = kFormat == PanelFormat::kInt8 ? kInt8Unit : kInt4Unit;
  const int64_t lines = (view.cols + kUnit - 1) / kUnit;
  const uint8_t* data = view.data + panel * view.panel_bytes;
  if (!kAffine && view.group_size == 0) {
    const int64_t row = panel * kPanelRows;
    const I32 sum = Sub(Int8Range<kFormat>(data, x, 0, lines), RowOffset<kFormat>(view, x, row, lines));
    return Mul(ToFloat(sum), Load(view.scales + row));
  }
  F32 total = Zero();
  const int64_t group_lines = view.group_size / kUnit;
  for (int64_t group = 0; group < view.groups; ++group) {
    const int64_t begin = group * group_lines;
    const int64_t end = begin + group_lines < lines ? begin + group_lines : lines;
    const I32 sum = Sub(Int8Range<kFormat>(data, x, begin, end), GroupOffset<kFormat>(data, x, begin, end));
    if constexpr (kAffine) {
      const GroupValues values = LoadGroupValues(view, panel, group);
      const I32 x_sum = BroadcastInt(CodeSum<kFormat>(x, begin, end));
      total = MulAdd(ToFloat(x_sum), values.offset, MulAdd(ToFloat(sum), values.scale, total));
    } else {
      F32 scale = LoadGroupScales(view, panel, group);
      if (x.group_scales != nullptr) scale = Mul(scale, Broadcast(x.group_scales[group]));
      total = MulAdd(ToFloat(sum), scale, total);
    }
  }
  return total;
}

template <PanelFormat kFormat, bool kAffine>
void Int8All(const PanelView& view, const Int8Vector& x, int64_t begin, int64_t end, float* out) {
  const F32 scale = Broadcast(x.scale);
  for (int64_t panel = begin; panel < end; ++panel, out += kPanelRows) {
    Store(out, Mul(Int8Panel<kFormat, kAffine>(view, x, panel), scale));
  }
}

}  // namespace

void FloatPanels(const PanelView& view, const FloatVector& x, int64_t begin, int64_t end, float* out) {
  switch (view.format) {
    case PanelFormat::kFp16:
      return FloatAll<Fp16Decoder>(view, x, begin, end, out);
    case PanelFormat::kInt8:
      if (view.affine) return FloatAll<Int8Decoder, true>(view, x, begin, end, out);
      return FloatAll<Int8Decoder>(view, x, begin, end, out);
    case PanelFormat::kInt4:
      if (view.affine) return FloatAll<Int4Decoder, true>(view, x, begin, end, out);
      return FloatAll<Int4Decoder>(view, x, begin, end, out);
  }
}

void Int8Panels(const PanelView& view, const Int8Vector& x, int64_t begin, int64_t end, float* out) {
  if (view.format == PanelFormat::kInt8) {
    if (view.affine) return Int8All<PanelFormat::kInt8, true>(view, x, begin, end, out);
    return Int8All<PanelFormat::kInt8, false>(view, x, begin, end, out);
  }
  if (view.affine) return Int8All<PanelFormat::kInt4, true>(view, x, begin, end, out);
  return Int8All<PanelFormat::kInt4, false>(view, x, begin, end, out);
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
