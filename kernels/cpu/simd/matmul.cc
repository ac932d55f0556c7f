// FP32 products of packed panels with many tokens: a piece of a tile's panels is decoded once, into the cache, and
// meets all tokens there.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/dot.h"
#include "kernels/cpu/simd/panel_set.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

template <bool kAffine>
inline GroupValues ValuesOf(const PanelView& view, int64_t panel, int64_t col) {
  if constexpr (kAffine) return LoadGroupValues(view, panel, col / view.group_size);
  if (view.group_size > 0) return {LoadGroupScales(view, panel, col / view.group_size), Zero()};
  return {Load(view.scales + panel * kPanelRows), Zero()};
}

template <bool kAffine>
inline void StoreValues(float* out, F32 codes, const GroupValues& values) {
  Store(out, kAffine ? MulAdd(codes, values.scale, values.offset) : Mul(codes, values.scale));
}

// Columns [begin, end) of a panel as FP32 to out[(col - begin) * stride + row]; begin is a multiple of 8. Whole lines
// are written, so up to 7 columns past the end.
template <bool kAffine>
void DecodePanel(const PanelView& view, int64_t panel, int64_t begin, int64_t end, int64_t stride, float* out) {
  const uint8_t* data = view.data + panel * view.panel_bytes;
  if (view.format == PanelFormat::kFp16) {
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(data);
    for (int64_t col = begin; col < end; ++col, out += stride) Store(out, LoadHalf(halves + col * kPanelRows));
  } else if (view.format == PanelFormat::kInt8) {
    for (int64_t col = begin; col < end; col += kInt8Unit, out += kInt8Unit * stride) {
      const GroupValues values = ValuesOf<kAffine>(view, panel, col);
      const I32 line = LoadInt(data + col * kPanelRows);
      StoreValues<kAffine>(out, Int8Column<0>(line), values);
      StoreValues<kAffine>(out + stride, Int8Column<1>(line), values);
      StoreValues<kAffine>(out + 2 * stride, Int8Column<2>(line), values);
      StoreValues<kAffine>(out + 3 * stride, Int8Column<3>(line), values);
    }
  } else {
    for (int64_t col = begin; col < end; col += kInt4Unit, out += kInt4Unit * stride) {
      const GroupValues values = ValuesOf<kAffine>(view, panel, col);
      const I32 words = LoadInt(data + col * kPanelRows / 2);
      StoreValues<kAffine>(out, Int4Nibble<0>(words), values);
      StoreValues<kAffine>(out + 4 * stride, Int4Nibble<1>(words), values);
      StoreValues<kAffine>(out + 1 * stride, Int4Nibble<2>(words), values);
      StoreValues<kAffine>(out + 5 * stride, Int4Nibble<3>(words), values);
      StoreValues<kAffine>(out + 2 * stride, Int4Nibble<4>(words), values);
      StoreValues<kAffine>(out + 6 * stride, Int4Nibble<5>(words), values);
      StoreValues<kAffine>(out + 3 * stride, Int4Nibble<6>(words), values);
      StoreValues<kAffine>(out + 7 * stride, Int4Nibble<7>(words), values);
    }
  }
}

void FloatPanelSet(const PanelView& view, const FloatBlockArgs& block, int64_t panel) {
  const BlockRange& range = block.range;
  const PanelSet set = PanelsFrom(range, panel);
  for (int64_t begin = 0; begin < view.cols; begin += kScratchColumns) {
    const int64_t end = begin + kScratchColumns < view.cols ? begin + kScratchColumns : view.cols;
    for (int p = 0; p < kTilePanels; ++p) {
      const auto decode = view.affine ? DecodePanel<true> : DecodePanel<false>;
      decode(view, set.index[p], begin, end, kTileColumns, block.scratch + p * kPanelRows);
    }
    const Epilogue epilogue = EpilogueOf(range, begin == 0, end == view.cols);
    ForEachTile(range.begin_token, range.end_token, [&](int64_t token, int64_t count) {
      alignas(64) float sums[kTileTokens * kTileColumns];
      const float* x = block.x + token * block.x_stride + begin;
      const float* weights = block.scratch;
      float* out = sums;
      RunTile<FloatTile>(count, x, block.x_stride, weights, end - begin, out);
      for (int64_t t = 0; t < count; ++t) {
        for (int p = 0; p < kTilePanels; ++p) {
          Finish(range, set, epilogue, token + t, p, Load(sums + t * kTileColumns + p * kPanelRows));
        }
      }
    });
  }
}

}  // namespace

void FloatBlock(const PanelView& view, const FloatBlockArgs& block) {
  for (int64_t panel = block.range.begin_panel; panel < block.range.end_panel; panel += kTilePanels) {
    FloatPanelSet(view, block, panel);
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
