#pragma once

#include "kernels/cpu/simd/tile.h"

// The panels of one tile of a packed matrix, and where their finished sums go.
namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

// A last panel that is alone is in the set twice, the second time without rows.
struct PanelSet {
  int64_t index[kTilePanels];
  int64_t rows[kTilePanels];  // rows of the panel that exist, at most 16
};

static inline PanelSet PanelsFrom(const BlockRange& range, int64_t panel) {
  PanelSet set;
  for (int p = 0; p < kTilePanels; ++p) {
    const bool exists = panel + p < range.end_panel;
    set.index[p] = exists ? panel + p : panel;
    const int64_t left = exists ? range.rows - set.index[p] * kPanelRows : 0;
    set.rows[p] = left < kPanelRows ? left : kPanelRows;
  }
  return set;
}

// What happens to the sums of a pass over some of the columns: they are added to what the passes before, or the caller,
// left; the last pass adds the bias.
struct Epilogue {
  bool add;
  const float* bias;
};

static inline Epilogue EpilogueOf(const BlockRange& range, bool first, bool last) {
  return {range.accumulate || !first, last ? range.bias : nullptr};
}

static inline void Finish(const BlockRange& range, const PanelSet& set, const Epilogue& epilogue, int64_t token, int p,
                          F32 sum) {
  const int64_t row = set.index[p] * kPanelRows;
  float* out = range.out + token * range.out_stride + row;
  const int64_t rows = set.rows[p];
  if (rows == kPanelRows) {
    if (epilogue.add) sum = Add(Load(out), sum);
    if (epilogue.bias != nullptr) sum = Add(sum, Load(epilogue.bias + row));
    return Store(out, sum);
  }
  if (epilogue.add) sum = Add(LoadFirst(out, rows), sum);
  if (epilogue.bias != nullptr) sum = Add(sum, LoadFirst(epilogue.bias + row, rows));
  StoreFirst(out, rows, sum);
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
