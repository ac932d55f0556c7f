// Where the results of a few sequences go: onto the residual stream, to logits, gated to the next product's input, or
// as turned heads to the query and the cache.
#pragma once

#include "kernels/cuda/batch.h"
#include "kernels/cuda/prefill/put.cuh"

namespace uaqf::cuda::batch {

// One FP16 value of rows that may be in the order of staged.h.
__device__ __forceinline__ void PutHalf(const Fp16Rows& out, int sequence, int width, int column, float value) {
  int64_t at = (int64_t{sequence} * width + column) * 2;
  if (out.padded_tokens > 0) {
    at = StagedFp16(out.padded_tokens, sequence, column / 8 * 8, column % 8 / 2) + column % 2 * 2;
  }
  *reinterpret_cast<__half*>(reinterpret_cast<uint8_t*>(out.values) + at) = prefill::ToHalf(value);
}

// Slots g and g + 8 of a tile: their rows, and whether they exist.
struct Place {
  int rows[2];
  bool exist[2];
  __device__ __forceinline__ Place(const MatrixView& weights, int tile, int g) {
    int count[2];
    weights.spec.map.Halves(tile, &rows[0], &rows[1]);
    weights.spec.map.Counts(rows[0], rows[1], &count[0], &count[1]);
#pragma unroll
    for (int u = 0; u < 2; ++u) {
      rows[u] += g;
      exist[u] = g < count[u];
    }
  }
  // A sum with the scale of its row and `by`.
  __device__ __forceinline__ float Scaled(const MatrixView& weights, int u, float sum, float by) const {
    return exist[u] && weights.row_scales != nullptr ? sum * weights.row_scales[rows[u]] * by : sum * by;
  }
};

// Rows of a head, or of two neighbouring runs of one: turned if they are a pair of q or k.
__device__ __forceinline__ void PutHeads(const BatchTarget& t, const TileMap& map, const Place& place, int sequence,
                                         float (&v)[2]) {
  const RopeShape& s = t.rope;
  const int position = t.positions[sequence];
  if (position >= s.capacity) return;
  if (place.rows[0] < map.rotary_rows) {
    const int half = s.head_dim / 2;
    const int64_t angle = int64_t{position} * half + place.rows[0] % s.head_dim;
    const float cosine = t.cosine[angle];
    const float sine = t.sine[angle];
    const float low = v[0] * cosine - v[1] * sine;
    v[1] = v[1] * cosine + v[0] * sine;
    v[0] = low;
  }
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    if (!place.exist[u]) continue;
    const int head = place.rows[u] / s.head_dim;
    const int dim = place.rows[u] % s.head_dim;
    __half* target = t.query + (int64_t{sequence} * s.heads + head) * s.head_dim + dim;
    if (head >= s.heads) {
      const bool is_value = head >= s.heads + s.kv_heads;
      const int64_t kv = head - s.heads - (is_value ? s.kv_heads : 0);
      target = (is_value ? t.cache.values : t.cache.keys) + sequence * t.cache.stride +
               (kv * s.capacity + position) * s.head_dim + dim;
    }
    *target = prefill::ToHalf(v[u]);
  }
}

// Results of both slots of a place, before the bias.
__device__ __forceinline__ void PutPair(const BatchTarget& t, const MatrixView& weights, const Place& place,
                                        int sequence, float first, float second) {
  const TileMap& map = weights.spec.map;
  float v[2] = {first, second};
#pragma unroll
  for (int u = 0; u < 2; ++u) v[u] += place.exist[u] && t.bias != nullptr ? t.bias[place.rows[u]] : 0.0f;
  if (t.kind == BatchTarget::kGated) {
    if (!place.exist[0]) return;
    const float gated = __fdividef(v[0], 1.0f + __expf(-v[0])) * v[1];
    return PutHalf(t.gated, sequence, map.rows / 2, place.rows[0], gated);
  }
  if (t.kind == BatchTarget::kHeads) return PutHeads(t, map, place, sequence, v);
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    if (!place.exist[u]) continue;
    float* sum = t.sums + int64_t{sequence} * map.rows + place.rows[u];
    *sum = t.kind == BatchTarget::kAdd ? *sum + v[u] : v[u];
  }
}

}  // namespace uaqf::cuda::batch
