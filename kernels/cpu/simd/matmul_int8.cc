// Products of INT8 and INT4 panels with many tokens of INT8 activations, in exact int32 sums. Panels are read as they
// are packed, tile by tile.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/dot.h"
#include "kernels/cpu/simd/panel_set.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

// Lines [begin, end) of the panels of a set.
struct Lines {
  const uint8_t* data[kTilePanels];
  int64_t begin;
  int64_t end;
};

inline Int8Vector TokenOf(const Int8BlockArgs& block, int64_t token) {
  return {block.codes + token * block.code_stride, block.biased + token * block.code_stride,
          block.prefix + token * block.prefix_stride, block.scales[token],
          block.group_scales == nullptr ? nullptr : block.group_scales + token * block.group_stride};
}

// Codes of the tokens of a tile at one line. Tokens are reached from every third one: twelve pointers would not fit the
// registers.
template <int kTokens>
struct TokenWords {
  static constexpr int kBases = (kTokens + 2) / 3;
  const Word* base[kBases];
  int64_t stride;  // from token to token

  inline I32 Broadcast(int token, int word) const { return BroadcastInt(base[token / 3][token % 3 * stride + word]); }
};

// Adds one line of INT8 weights: acc[token][panel].
template <int kTokens>
inline void AddInt8Line(const Lines& lines, int64_t line, const TokenWords<kTokens>& x,
                        I32 (&acc)[kTokens][kTilePanels]) {
  I32 weight[kTilePanels];
#pragma GCC unroll 2
  for (int p = 0; p < kTilePanels; ++p) weight[p] = LoadInt(lines.data[p] + line * 64);
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) {
    const I32 word = x.Broadcast(t, 0);
#pragma GCC unroll 2
    for (int p = 0; p < kTilePanels; ++p) acc[t][p] = DotInt8(acc[t][p], weight[p], word);
  }
}

// The same for INT4: low nibbles are the first four columns of the line, high ones the next.
template <int kTokens>
inline void AddInt4Line(const Lines& lines, int64_t line, const TokenWords<kTokens>& x,
                        I32 (&acc)[kTokens][kTilePanels]) {
  I32 low[kTilePanels], high[kTilePanels];
#pragma GCC unroll 2
  for (int p = 0; p < kTilePanels; ++p) {
    const I32 weight = LoadInt(lines.data[p] + line * 64);
    low[p] = LowNibbles(weight);
    high[p] = HighNibbles(weight);
  }
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) {
    const I32 first = x.Broadcast(t, 0);
    const I32 second = x.Broadcast(t, 1);
#pragma GCC unroll 2
    for (int p = 0; p < kTilePanels; ++p) {
      acc[t][p] = DotInt4(DotInt4(acc[t][p], low[p], first), high[p], second);
    }
  }
}

template <PanelFormat kFormat>
struct Tiles {
  // sums[token][kTilePanels]
  template <int kTokens>
  struct Tile {
    static void Run(const Lines& lines, const Int8Vector& x, int64_t stride, I32* sums) {
      constexpr bool kIsInt8 = kFormat == PanelFormat::kInt8;
      constexpr int kWords = kIsInt8 ? 1 : 2;  // to a line
      I32 acc[kTokens][kTilePanels];
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
        for (int p = 0; p < kTilePanels; ++p) acc[t][p] = BroadcastInt(0);
      }
      TokenWords<kTokens> words;
      words.stride = stride;
#pragma GCC unroll 4
      for (int i = 0; i < words.kBases; ++i) {
        words.base[i] = (kIsInt8 ? Int8Words(x) : Int4Words(x)) + 3 * i * stride + lines.begin * kWords;
      }
      for (int64_t line = lines.begin; line < lines.end; ++line) {
        if constexpr (kIsInt8) {
          AddInt8Line<kTokens>(lines, line, words, acc);
        } else {
          AddInt4Line<kTokens>(lines, line, words, acc);
        }
#pragma GCC unroll 4
        for (int i = 0; i < words.kBases; ++i) words.base[i] += kWords;
      }
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
        for (int p = 0; p < kTilePanels; ++p) sums[t * kTilePanels + p] = acc[t][p];
      }
    }
  };
};

// What the unsigned side's bias added to the sums of a panel's lines; `code_sums` are the panel's own, for INT8.
template <PanelFormat kFormat>
inline I32 OffsetOf(const Lines& lines, const Int8Vector& x, I32 code_sums) {
  if constexpr (kFormat == PanelFormat::kInt4) {
    return BroadcastInt(kInt4Zero * (x.prefix[lines.end] - x.prefix[lines.begin]));
  } else {
    return kInt8Biased ? ShiftLeft<7>(code_sums) : BroadcastInt(0);
  }
}

template <PanelFormat kFormat>
inline I32 CodeSumsOf(const PanelView& view, int64_t panel, const uint8_t* data, const Lines& lines) {
  if (kFormat == PanelFormat::kInt4 || !kInt8Biased) return BroadcastInt(0);
  return view.group_size > 0 ? CodeSums(data, lines.begin, lines.end) : LoadInt(view.row_sums + panel * kPanelRows);
}

inline GroupValues ValuesOf(const PanelView& view, int64_t panel, int64_t group) {
  if (view.affine) return LoadGroupValues(view, panel, group);
  if (view.group_size > 0) return {LoadGroupScales(view, panel, group), Zero()};
  return {Load(view.scales + panel * kPanelRows), Zero()};
}

// totals[token][kTilePanels] += sums of the lines, which are group `group`, times their scales.
template <PanelFormat kFormat>
void AddGroup(const PanelView& view, const Int8BlockArgs& block, const PanelSet& set, const Lines& lines, int64_t group,
              int64_t token, int64_t count, F32* totals) {
  I32 sums[kTileTokens * kTilePanels];
  I32* out = sums;
  RunTile<Tiles<kFormat>::template Tile>(count, lines, TokenOf(block, token), block.code_stride / 4, out);
  for (int p = 0; p < kTilePanels; ++p) {
    const int64_t panel = set.index[p];
    const I32 code_sums = CodeSumsOf<kFormat>(view, panel, lines.data[p], lines);
    const GroupValues values = ValuesOf(view, panel, group);
    for (int64_t t = 0; t < count; ++t) {
      const Int8Vector x = TokenOf(block, token + t);
      const I32 offset = OffsetOf<kFormat>(lines, x, code_sums);
      F32& total = totals[t * kTilePanels + p];
      const F32 scale = x.group_scales == nullptr ? values.scale : Mul(values.scale, Broadcast(x.group_scales[group]));
      total = MulAdd(ToFloat(Sub(sums[t * kTilePanels + p], offset)), scale, total);
      if (!view.affine) continue;
      const I32 x_sum = BroadcastInt(CodeSum<kFormat>(x, lines.begin, lines.end));
      total = MulAdd(ToFloat(x_sum), values.offset, total);
    }
  }
}

template <PanelFormat kFormat>
void Int8PanelSet(const PanelView& view, const Int8BlockArgs& block, int64_t panel) {
  constexpr int64_t kUnit = kFormat == PanelFormat::kInt8 ? kInt8Unit : kInt4Unit;
  const BlockRange& range = block.range;
  const PanelSet set = PanelsFrom(range, panel);
  const Epilogue epilogue = EpilogueOf(range, true, true);
  const int64_t all = (view.cols + kUnit - 1) / kUnit;
  const int64_t step = view.group_size > 0 ? view.group_size / kUnit : all;
  Lines lines;
  for (int p = 0; p < kTilePanels; ++p) lines.data[p] = view.data + set.index[p] * view.panel_bytes;
  ForEachTile(range.begin_token, range.end_token, [&](int64_t token, int64_t count) {
    F32 totals[kTileTokens * kTilePanels];
    for (int64_t i = 0; i < count * kTilePanels; ++i) totals[i] = Zero();
    for (int64_t begin = 0, group = 0; begin < all; begin += step, ++group) {
      lines.begin = begin;
      lines.end = begin + step < all ? begin + step : all;
      AddGroup<kFormat>(view, block, set, lines, group, token, count, totals);
    }
    for (int64_t t = 0; t < count; ++t) {
      const F32 scale = Broadcast(block.scales[token + t]);
      for (int p = 0; p < kTilePanels; ++p) {
        Finish(range, set, epilogue, token + t, p, Mul(totals[t * kTilePanels + p], scale));
      }
    }
  });
}

}  // namespace

void Int8Block(const PanelView& view, const Int8BlockArgs& block) {
  for (int64_t panel = block.range.begin_panel; panel < block.range.end_panel; panel += kTilePanels) {
    if (view.format == PanelFormat::kInt8) {
      Int8PanelSet<PanelFormat::kInt8>(view, block, panel);
    } else {
      Int8PanelSet<PanelFormat::kInt4>(view, block, panel);
    }
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
