#ifndef UAQF_KERNELS_CPU_SIMD_TILE_H_
#define UAQF_KERNELS_CPU_SIMD_TILE_H_

#include "kernels/cpu/packed_layout.h"
#include "kernels/cpu/simd/simd.h"

// The register tile of FP32 matrix products: kTileTokens rows of x times kTilePanels panels of 16 columns of weights,
// all sums in registers. A weight is loaded once for all tokens of the tile, an activation once for all columns.
namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kTilePanels = 2;
constexpr int kTileTokens = 12;
#else
constexpr int kTilePanels = 1;
constexpr int kTileTokens = 6;
#endif

// Where the finished sums of a panel go and what is added to them.
struct Target {
  float* out;         // first token, first row of the panel
  int64_t stride;     // from token to token
  const float* bias;  // first row of the panel, null: none
  int64_t rows;       // rows of the panel that exist, at most 16
  bool add;           // to what is there
};

static inline void Finish(const Target& target, int64_t token, F32 sum) {
  float* out = target.out + token * target.stride;
  if (target.rows == kPanelRows) {
    if (target.add) sum = Add(Load(out), sum);
    if (target.bias != nullptr) sum = Add(sum, Load(target.bias));
    return Store(out, sum);
  }
  if (target.add) sum = Add(LoadFirst(out, target.rows), sum);
  if (target.bias != nullptr) sum = Add(sum, LoadFirst(target.bias, target.rows));
  StoreFirst(out, target.rows, sum);
}

// Tokens [token, token + kTokens) of x times `cols` columns of weights, [col][kPanels * 16] FP32.
template <int kTokens, int kPanels>
struct FloatTile {
  static void Run(const float* x, int64_t x_stride, const float* weights, int64_t cols, const Target* targets,
                  int64_t token) {
    F32 acc[kTokens][kPanels];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) acc[t][p] = Zero();
    }
    const float* tokens = x + token * x_stride;
    for (int64_t col = 0; col < cols; ++col, weights += kPanels * kPanelRows) {
      F32 weight[kPanels];
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) weight[p] = Load(weights + p * kPanelRows);
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        const F32 activation = Broadcast(tokens[t * x_stride + col]);
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) acc[t][p] = MulAdd(weight[p], activation, acc[t][p]);
      }
    }
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (int p = 0; p < kPanels; ++p) Finish(targets[p], token + t, acc[t][p]);
    }
  }
};

// Calls Tile<n, kPanels>::Run with n = tokens, which is 1 to kTileTokens.
template <template <int, int> class Tile, int kPanels, int kTokens = kTileTokens, typename... Args>
inline void RunTile(int64_t tokens, const Args&... args) {
  if constexpr (kTokens > 0) {
    if (tokens == kTokens) return Tile<kTokens, kPanels>::Run(args...);
    RunTile<Tile, kPanels, kTokens - 1>(tokens, args...);
  }
}

// Splits [begin, end) into the fewest tiles, their sizes as equal as can be, and calls fn(first, count) for each.
template <typename Fn>
inline void ForEachTile(int64_t begin, int64_t end, const Fn& fn) {
  int64_t left = end - begin;
  for (int64_t tiles = (left + kTileTokens - 1) / kTileTokens; tiles > 0; --tiles) {
    const int64_t count = (left + tiles - 1) / tiles;
    fn(end - left, count);
    left -= count;
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE

#endif  // UAQF_KERNELS_CPU_SIMD_TILE_H_
