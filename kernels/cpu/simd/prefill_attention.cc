// Attention of many tokens as two matrix products around a softmax, a tile of tokens at a time: scores = Q K^T over the
// positions that any of the tile sees, and out = P V.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/tile.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

static_assert(kTileTokens <= kAttentionTile && kAttentionPositions % kTileColumns == 0);

// tokens x depth of x times one tile's columns of weights, [depth][kTileColumns]; `columns` of them exist.
void TileProduct(const float* x, int64_t x_stride, int64_t tokens, const float* weights, int64_t depth, float* out,
                 int64_t out_stride, int64_t columns) {
  alignas(64) float sums[kTileTokens * kTileColumns];
  float* where = sums;
  RunTile<FloatTile>(tokens, x, x_stride, weights, depth, where);
  for (int64_t t = 0; t < tokens; ++t) {
    const float* sum = sums + t * kTileColumns;
    float* row = out + t * out_stride;
    int64_t i = 0;
    for (; i + kLanes <= columns && i < kTileColumns; i += kLanes) Store(row + i, Load(sum + i));
    if (i < columns && i < kTileColumns) StoreFirst(row + i, columns - i, Load(sum + i));
  }
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

// keys [position / kTileColumns][dimension][position % kTileColumns], values [dimension /
// kTileColumns][position][dimension % kTileColumns].
void DecodeKv(const KvPanels& panels, const uint16_t* keys, const uint16_t* values) {
  const int64_t dim = panels.head_dim;
  float row[kMaxHeadDim];
  for (int64_t i = 0; i < panels.count; ++i) {
    float* key = panels.keys + i / kTileColumns * kTileColumns * dim + i % kTileColumns;
    if (i < panels.used) {
      Fp16ToFloat(keys + i * dim, dim, row);
      for (int64_t d = 0; d < dim; ++d) key[d * kTileColumns] = row[d];
      Fp16ToFloat(values + i * dim, dim, row);
    } else {
      for (int64_t d = 0; d < dim; ++d) key[d * kTileColumns] = row[d] = 0;
    }
    for (int64_t d = 0; d < dim; ++d)
      panels.values[(d / kTileColumns * panels.count + i) * kTileColumns + d % kTileColumns] = row[d];
  }
}

void AttendTokens(const KvPanels& panels, const AttentionTokens& work) {
  ForEachTile(0, work.tokens, [&](int64_t token, int64_t count) {
    const float* query = work.query + token * work.stride;
    const int64_t oldest = work.window > 0 ? work.first + token - work.window + 1 : 0;
    const int64_t low = oldest > 0 ? oldest / kTileColumns * kTileColumns : 0;
    const int64_t newest = work.first + token + count;
    const int64_t high = (newest + kTileColumns - 1) / kTileColumns * kTileColumns;
    for (int64_t i = low; i < high; i += kTileColumns) {
      TileProduct(query, work.stride, count, panels.keys + i * panels.head_dim, panels.head_dim, work.scores + i,
                  panels.count, kTileColumns);
    }
    for (int64_t t = 0; t < count; ++t) {
      const int64_t end = work.first + token + t + 1;
      const int64_t begin = work.window > 0 && end > work.window ? end - work.window : 0;
      Softmax(work.scores + t * panels.count, low, begin, end, high, work.scale);
    }
    for (int64_t d = 0; d < panels.head_dim; d += kTileColumns) {
      TileProduct(work.scores + low, panels.count, count, panels.values + (d * panels.count + low * kTileColumns),
                  newest - low, work.out + token * work.stride + d, work.stride, panels.head_dim - d);
    }
  });
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
