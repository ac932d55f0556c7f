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

// Slots g and g + 8 of a tile for one sequence: their rows, whether they exist, and what their sums meet. All loads are
// in the constructor, so that they can be under way while sums are.
struct Place {
  int sequence;
  int rows[2];
  bool exist[2];
  int position = 0;
  float scale[2];
  float bias[2];
  float first = 0;  // kAdd: what is there; kHeads: cosine and sine
  float second = 0;

  __device__ __forceinline__ Place(const MatrixView& weights, const BatchTarget& t, int tile, int g, int sequence,
                                   float by)
      : sequence(sequence) {
    const TileMap& map = weights.spec.map;
    int count[2];
    map.Halves(tile, &rows[0], &rows[1]);
    map.Counts(rows[0], rows[1], &count[0], &count[1]);
#pragma unroll
    for (int u = 0; u < 2; ++u) {
      rows[u] += g;
      exist[u] = g < count[u];
      scale[u] = exist[u] && weights.row_scales != nullptr ? weights.row_scales[rows[u]] * by : by;
      bias[u] = exist[u] && t.bias != nullptr ? t.bias[rows[u]] : 0.0f;
    }
    if (t.kind == BatchTarget::kAdd) {
      const float* sums = t.sums + int64_t{sequence} * map.rows;
      if (exist[0]) first = sums[rows[0]];
      if (exist[1]) second = sums[rows[1]];
    } else if (t.kind == BatchTarget::kHeads) {
      position = t.positions[sequence];
      if (!is_pair(map) || position >= t.rope.capacity) return;
      const int64_t angle = int64_t{position} * (t.rope.head_dim / 2) + rows[0] % t.rope.head_dim;
      first = t.cosine[angle];
      second = t.sine[angle];
    }
  }
  // Of RoPE.
  __device__ __forceinline__ bool is_pair(const TileMap& map) const { return rows[0] < map.rotary_rows; }
};

__device__ __forceinline__ void PutHeads(const BatchTarget& t, const TileMap& map, const Place& place, float (&v)[2]) {
  const RopeShape& s = t.rope;
  if (place.position >= s.capacity) return;
  if (place.is_pair(map)) {
    const float low = v[0] * place.first - v[1] * place.second;
    v[1] = v[1] * place.first + v[0] * place.second;
    v[0] = low;
  }
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    if (!place.exist[u]) continue;
    const int head = place.rows[u] / s.head_dim;
    const int dim = place.rows[u] % s.head_dim;
    __half* target = t.query + (int64_t{place.sequence} * s.heads + head) * s.head_dim + dim;
    if (head >= s.heads) {
      const bool is_value = head >= s.heads + s.kv_heads;
      const int64_t kv = head - s.heads - (is_value ? s.kv_heads : 0);
      target = (is_value ? t.cache.values : t.cache.keys) + place.sequence * t.cache.stride +
               (kv * s.capacity + place.position) * s.head_dim + dim;
    }
    *target = prefill::ToHalf(v[u]);
  }
}

// The sums of both slots.
__device__ __forceinline__ void PutPair(const BatchTarget& t, const TileMap& map, const Place& place, float first,
                                        float second) {
  float v[2] = {fmaf(first, place.scale[0], place.bias[0]), fmaf(second, place.scale[1], place.bias[1])};
  if (t.kind == BatchTarget::kGated) {
    if (!place.exist[0]) return;
    const float gated = __fdividef(v[0], 1.0f + __expf(-v[0])) * v[1];
    return PutHalf(t.gated, place.sequence, map.rows / 2, place.rows[0], gated);
  }
  if (t.kind == BatchTarget::kHeads) return PutHeads(t, map, place, v);
  float* sums = t.sums + int64_t{place.sequence} * map.rows;
  if (place.exist[0]) sums[place.rows[0]] = place.first + v[0];
  if (place.exist[1]) sums[place.rows[1]] = place.second + v[1];
}

}  // namespace uaqf::cuda::batch
