#pragma once

#include "kernels/cpu/packed_layout.h"
#include "kernels/cpu/simd/simd.h"

// The register tile of matrix products: some tokens times kTilePanels panels of 16 columns of weights, all sums in
// registers. A weight is loaded once for all tokens of the tile, an activation once for all columns.
namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kTilePanels = 2;
constexpr int kTileTokens = 12;
#else
constexpr int kTilePanels = 1;
constexpr int kTileTokens = 6;
#endif
constexpr int64_t kTileColumns = kTilePanels * kPanelRows;

// Tiles come in few sizes, since each is a piece of unrolled code: 12, 8, 4, 2 and 1 tokens (AVX2: 6, 4, 2 and 1).
constexpr int SmallerTile(int tokens) { return tokens == 12 ? 8 : tokens == 6 ? 4 : tokens / 2; }

// Calls Tile<n>::Run for n = tokens, one of the sizes.
template <template <int> class Tile, int kTokens = kTileTokens, typename... Args>
inline void RunTile(int64_t tokens, const Args&... args) {
  if constexpr (kTokens > 0) {
    if (tokens == kTokens) return Tile<kTokens>::Run(args...);
    RunTile<Tile, SmallerTile(kTokens)>(tokens, args...);
  }
}

// Cuts [begin, end) into tiles, largest first, and calls fn(first, count) for each.
template <typename Fn>
inline void ForEachTile(int64_t begin, int64_t end, const Fn& fn) {
  for (int size = kTileTokens; begin < end;) {
    if (end - begin < size) {
      size = SmallerTile(size);
      continue;
    }
    fn(begin, int64_t{size});
    begin += size;
  }
}

// sums[token][kTileColumns] = kTokens rows of x times `cols` columns of weights, [col][kTileColumns] FP32.
template <int kTokens>
struct FloatTile {
  static void Run(const float* x, int64_t x_stride, const float* weights, int64_t cols, float* sums) {
    F32 acc[kTokens][kTilePanels];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (int p = 0; p < kTilePanels; ++p) acc[t][p] = Zero();
    }
    // Rows are reached from every third one: twelve pointers would not fit the registers.
    constexpr int kBases = (kTokens + 2) / 3;
    const float* base[kBases];
#pragma GCC unroll 4
    for (int i = 0; i < kBases; ++i) base[i] = x + 3 * i * x_stride;
    for (int64_t col = 0; col < cols; ++col, weights += kTileColumns) {
      F32 weight[kTilePanels];
#pragma GCC unroll 2
      for (int p = 0; p < kTilePanels; ++p) weight[p] = Load(weights + p * kPanelRows);
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        const F32 activation = Broadcast(base[t / 3][t % 3 * x_stride]);
#pragma GCC unroll 2
        for (int p = 0; p < kTilePanels; ++p) acc[t][p] = MulAdd(weight[p], activation, acc[t][p]);
      }
#pragma GCC unroll 4
      for (int i = 0; i < kBases; ++i) ++base[i];
    }
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (int p = 0; p < kTilePanels; ++p) Store(sums + t * kTileColumns + p * kPanelRows, acc[t][p]);
    }
  }
};

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
