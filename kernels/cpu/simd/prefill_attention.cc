// Attention of many tokens as two matrix products around a softmax, a tile of tokens at a time: scores = Q K^T over the
// positions that any of the tile sees, and out = P V.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/tile.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

constexpr int64_t kWide = kTilePanels * kPanelRows;  // columns of one register tile
static_assert(kTileTokens <= kAttentionTile && kAttentionPositions % kWide == 0);

// tokens x depth of x times one tile's columns of weights, [depth][kWide]; `rows` of the columns exist.
void TileProduct(const float* x, int64_t x_stride, int64_t tokens, const float* weights, int64_t depth, float* out,
                 int64_t out_stride, int64_t rows) {
  Target targets[kTilePanels];
  for (int p = 0; p < kTilePanels; ++p) {
    const int64_t left = rows - p * kPanelRows;
    targets[p] = {out + p * kPanelRows, out_stride, nullptr,
                  left < 0            ? 0
                  : left < kPanelRows ? left
                                      : kPanelRows,
                  false};
  }
  const Target* where = targets;
  RunTile<FloatTile, kTilePanels>(tokens, x, x_stride, weights, depth, where, int64_t{0});
}

// Turns products at [begin, end) into probabilities; the rest of [low, high) becomes zero.
void Softmax(float* scores, int64_t low, int64_t begin, int64_t end, int64_t high, float scale) {
  for (int64_t i = low; i < begin; ++i) scores[i] = -__builtin_inff();
  for (int64_t i = end; i < high; ++i) scores[i] = -__builtin_inff();
  F32 largest = Load(scores + low);
  for (int64_t i = low + kLanes; i < high; i += kLanes) largest = Max(largest, Load(scores + i));
  const F32 shift = Broadcast(MaxLanes(largest));
  F32 sum = Zero();
  for (int64_t i = low; i < high; i += kLanes) {
    const F32 weight = Exp(Mul(Sub(Load(scores + i), shift), Broadcast(scale)));
    Store(scores + i, weight);
    sum = Add(sum, weight);
  }
  const F32 factor = Broadcast(1.0f / SumLanes(sum));
  for (int64_t i = low; i < high; i += kLanes) Store(scores + i, Mul(Load(scores + i), factor));
  for (int64_t i = low; i < begin; ++i) scores[i] = 0;
  for (int64_t i = end; i < high; ++i) scores[i] = 0;
}

}  // namespace

// keys [position / kWide][dimension][position % kWide], values [dimension / kWide][position][dimension % kWide].
void DecodeKv(const KvPanels& panels, const uint16_t* keys, const uint16_t* values) {
  const int64_t dim = panels.head_dim;
  float row[kMaxHeadDim];
  for (int64_t i = 0; i < panels.count; ++i) {
    float* key = panels.keys + i / kWide * kWide * dim + i % kWide;
    if (i < panels.used) {
      Fp16ToFloat(keys + i * dim, dim, row);
      for (int64_t d = 0; d < dim; ++d) key[d * kWide] = row[d];
      Fp16ToFloat(values + i * dim, dim, row);
    } else {
      for (int64_t d = 0; d < dim; ++d) key[d * kWide] = row[d] = 0;
    }
    for (int64_t d = 0; d < dim; ++d) panels.values[(d / kWide * panels.count + i) * kWide + d % kWide] = row[d];
  }
}

void AttendTokens(const KvPanels& panels, const AttentionTokens& work) {
  ForEachTile(0, work.tokens, [&](int64_t token, int64_t count) {
    const float* query = work.query + token * work.stride;
    const int64_t oldest = work.window > 0 ? work.first + token - work.window + 1 : 0;
    const int64_t low = oldest > 0 ? oldest / kWide * kWide : 0;
    const int64_t newest = work.first + token + count;
    const int64_t high = (newest + kWide - 1) / kWide * kWide;
    for (int64_t i = low; i < high; i += kWide) {
      TileProduct(query, work.stride, count, panels.keys + i * panels.head_dim, panels.head_dim, work.scores + i,
                  panels.count, kWide);
    }
    for (int64_t t = 0; t < count; ++t) {
      const int64_t end = work.first + token + t + 1;
      const int64_t begin = work.window > 0 && end > work.window ? end - work.window : 0;
      Softmax(work.scores + t * panels.count, low, begin, end, high, work.scale);
    }
    for (int64_t d = 0; d < panels.head_dim; d += kWide) {
      TileProduct(work.scores + low, panels.count, count, panels.values + (d * panels.count + low * kWide),
                  newest - low, work.out + token * work.stride + d, work.stride, panels.head_dim - d);
    }
  });
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
