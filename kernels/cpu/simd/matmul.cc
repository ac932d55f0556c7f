// Products of packed panels with many tokens: a tile of tokens times two panels is summed in registers over the
// columns, so a weight is loaded once for all tokens of the tile and an activation once for all 32 rows.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/dot.h"
#include "kernels/cpu/simd/tile.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

template <int kPanels>
constexpr int64_t kScratchStride = kPanels* kPanelRows;

inline F32 ScaleOf(const PanelView& view, int64_t panel, int64_t col) {
  if (view.group_size > 0) return LoadGroupScales(view, panel, col / view.group_size);
  return Load(view.scales + panel * kPanelRows);
}

inline void StoreScaled(float* out, F32 codes, F32 scale) { Store(out, Mul(codes, scale)); }

// Columns [begin, end) of a panel as FP32 to out[(col - begin) * stride + row]; begin is a multiple of 8. Whole lines
// are written, so up to 7 columns past the end.
void DecodePanel(const PanelView& view, int64_t panel, int64_t begin, int64_t end, int64_t stride, float* out) {
  const uint8_t* data = view.data + panel * view.panel_bytes;
  if (view.format == PanelFormat::kFp16) {
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(data);
    for (int64_t col = begin; col < end; ++col, out += stride) Store(out, LoadHalf(halves + col * kPanelRows));
  } else if (view.format == PanelFormat::kInt8) {
    for (int64_t col = begin; col < end; col += kInt8Unit, out += kInt8Unit * stride) {
      const F32 scale = ScaleOf(view, panel, col);
      const I32 line = LoadInt(data + col * kPanelRows);
      StoreScaled(out, Int8Column<0>(line), scale);
      StoreScaled(out + stride, Int8Column<1>(line), scale);
      StoreScaled(out + 2 * stride, Int8Column<2>(line), scale);
      StoreScaled(out + 3 * stride, Int8Column<3>(line), scale);
    }
  } else {
    for (int64_t col = begin; col < end; col += kInt4Unit, out += kInt4Unit * stride) {
      const F32 scale = ScaleOf(view, panel, col);
      const I32 words = LoadInt(data + col * kPanelRows / 2);
      StoreScaled(out, Int4Nibble<0>(words), scale);
      StoreScaled(out + 4 * stride, Int4Nibble<1>(words), scale);
      StoreScaled(out + 1 * stride, Int4Nibble<2>(words), scale);
      StoreScaled(out + 5 * stride, Int4Nibble<3>(words), scale);
      StoreScaled(out + 2 * stride, Int4Nibble<4>(words), scale);
      StoreScaled(out + 6 * stride, Int4Nibble<5>(words), scale);
      StoreScaled(out + 3 * stride, Int4Nibble<6>(words), scale);
      StoreScaled(out + 7 * stride, Int4Nibble<7>(words), scale);
    }
  }
}

Target TargetOf(const BlockRange& range, int64_t panel, bool first, bool last) {
  const int64_t row = panel * kPanelRows;
  const int64_t rows = range.rows - row < kPanelRows ? range.rows - row : kPanelRows;
  return {range.out + row, range.out_stride, last && range.bias != nullptr ? range.bias + row : nullptr, rows,
          range.accumulate || !first};
}

template <int kPanels>
void FloatPanelGroup(const PanelView& view, const FloatBlockArgs& block, int64_t panel) {
  for (int64_t begin = 0; begin < view.cols; begin += kScratchColumns) {
    const int64_t end = begin + kScratchColumns < view.cols ? begin + kScratchColumns : view.cols;
    Target targets[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      DecodePanel(view, panel + p, begin, end, kScratchStride<kPanels>, block.scratch + p * kPanelRows);
      targets[p] = TargetOf(block.range, panel + p, begin == 0, end == view.cols);
    }
    ForEachTile(block.range.begin_token, block.range.end_token, [&](int64_t token, int64_t count) {
      RunTile<FloatTile, kPanels>(count, block.x + begin, block.x_stride, block.scratch, end - begin, targets, token);
    });
  }
}

struct Int8TileArgs {
  const PanelView* view;
  const Int8BlockArgs* block;
  int64_t panel;
  int64_t token;
  int64_t begin_line;
  int64_t end_line;
};

inline Int8Vector TokenOf(const Int8BlockArgs& block, int64_t token) {
  return {block.codes + token * block.code_stride, block.biased + token * block.code_stride,
          block.prefix + token * block.prefix_stride, block.scales[token]};
}

template <PanelFormat kFormat, int kTokens, int kPanels>
inline void SumLines(const Int8TileArgs& tile, I32 (&acc)[kTokens][kPanels]) {
  const uint8_t* data = tile.view->data + tile.panel * tile.view->panel_bytes;
  const Int8Vector x = TokenOf(*tile.block, tile.token);
  const int64_t words = tile.block->code_stride / 4;  // from token to token
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) acc[t][p] = BroadcastInt(0);
  }
  for (int64_t line = tile.begin_line; line < tile.end_line; ++line) {
    I32 weight[kPanels];
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) weight[p] = LoadInt(data + p * tile.view->panel_bytes + line * 64);
    if constexpr (kFormat == PanelFormat::kInt8) {
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        const I32 word = Int8Word(x, t * words + line);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) acc[t][p] = DotInt8(acc[t][p], weight[p], word);
      }
    } else {
      I32 low[kPanels], high[kPanels];
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) {
        low[p] = LowNibbles(weight[p]);
        high[p] = HighNibbles(weight[p]);
      }
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        const I32 word = BroadcastInt(reinterpret_cast<const Word*>(x.codes)[t * words + 2 * line]);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) acc[t][p] = DotInt4(acc[t][p], low[p], word);
      }
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        const I32 word = BroadcastInt(reinterpret_cast<const Word*>(x.codes)[t * words + 2 * line + 1]);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) acc[t][p] = DotInt4(acc[t][p], high[p], word);
      }
    }
  }
}

// What the unsigned side's bias added to the sums of lines [begin, end).
template <PanelFormat kFormat>
inline I32 OffsetOf(const Int8Vector& x, I32 code_sums, int64_t begin, int64_t end) {
  if constexpr (kFormat == PanelFormat::kInt4) {
    return BroadcastInt(kInt4Zero * (x.prefix[end] - x.prefix[begin]));
  } else {
    return kInt8Biased ? ShiftLeft<7>(code_sums) : BroadcastInt(0);
  }
}

template <PanelFormat kFormat>
struct Int8Tiles {
  static constexpr int64_t kUnit = kFormat == PanelFormat::kInt8 ? kInt8Unit : kInt4Unit;

  template <int kTokens, int kPanels>
  struct Tile {
    static void Run(const PanelView& view, const Int8BlockArgs& block, int64_t panel, int64_t token,
                    const Target* targets) {
      F32 total[kTokens][kPanels];
      for (int t = 0; t < kTokens; ++t) {
        for (int p = 0; p < kPanels; ++p) total[t][p] = Zero();
      }
      const int64_t lines = (view.cols + kUnit - 1) / kUnit;
      const int64_t group_lines = view.group_size > 0 ? view.group_size / kUnit : lines;
      for (int64_t begin = 0, group = 0; begin < lines; begin += group_lines, ++group) {
        const int64_t end = begin + group_lines < lines ? begin + group_lines : lines;
        AddGroup(Int8TileArgs{&view, &block, panel, token, begin, end}, group, total);
      }
      for (int t = 0; t < kTokens; ++t) {
        const F32 scale = Broadcast(block.scales[token + t]);
        for (int p = 0; p < kPanels; ++p) Finish(targets[p], token + t, Mul(total[t][p], scale));
      }
    }

    static inline void AddGroup(const Int8TileArgs& tile, int64_t group, F32 (&total)[kTokens][kPanels]) {
      const PanelView& view = *tile.view;
      I32 acc[kTokens][kPanels];
      SumLines<kFormat, kTokens, kPanels>(tile, acc);
      for (int p = 0; p < kPanels; ++p) {
        const int64_t panel = tile.panel + p;
        I32 code_sums = BroadcastInt(0);
        if (kFormat == PanelFormat::kInt8 && kInt8Biased) {
          code_sums = view.group_size > 0
                          ? CodeSums(view.data + panel * view.panel_bytes, tile.begin_line, tile.end_line)
                          : LoadInt(view.row_sums + panel * kPanelRows);
        }
        const F32 scale =
            view.group_size > 0 ? LoadGroupScales(view, panel, group) : Load(view.scales + panel * kPanelRows);
        for (int t = 0; t < kTokens; ++t) {
          const Int8Vector x = TokenOf(*tile.block, tile.token + t);
          const I32 offset = OffsetOf<kFormat>(x, code_sums, tile.begin_line, tile.end_line);
          const F32 codes = ToFloat(Sub(acc[t][p], offset));
          total[t][p] = MulAdd(codes, scale, total[t][p]);
        }
      }
    }
  };
};

template <PanelFormat kFormat, int kPanels>
void Int8PanelGroup(const PanelView& view, const Int8BlockArgs& block, int64_t panel) {
  Target targets[kPanels];
  for (int p = 0; p < kPanels; ++p) targets[p] = TargetOf(block.range, panel + p, true, true);
  const Target* where = targets;
  ForEachTile(block.range.begin_token, block.range.end_token, [&](int64_t token, int64_t count) {
    RunTile<Int8Tiles<kFormat>::template Tile, kPanels>(count, view, block, panel, token, where);
  });
}

template <PanelFormat kFormat>
void Int8Groups(const PanelView& view, const Int8BlockArgs& block) {
  int64_t panel = block.range.begin_panel;
  for (; panel + kTilePanels <= block.range.end_panel; panel += kTilePanels) {
    Int8PanelGroup<kFormat, kTilePanels>(view, block, panel);
  }
  for (; panel < block.range.end_panel; ++panel) Int8PanelGroup<kFormat, 1>(view, block, panel);
}

}  // namespace

void FloatBlock(const PanelView& view, const FloatBlockArgs& block) {
  int64_t panel = block.range.begin_panel;
  for (; panel + kTilePanels <= block.range.end_panel; panel += kTilePanels) {
    FloatPanelGroup<kTilePanels>(view, block, panel);
  }
  for (; panel < block.range.end_panel; ++panel) FloatPanelGroup<1>(view, block, panel);
}

void Int8Block(const PanelView& view, const Int8BlockArgs& block) {
  if (view.format == PanelFormat::kInt8) {
    Int8Groups<PanelFormat::kInt8>(view, block);
  } else {
    Int8Groups<PanelFormat::kInt4>(view, block);
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
