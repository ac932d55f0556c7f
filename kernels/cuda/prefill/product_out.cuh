// How the sums of a product (product.cuh) leave it: scaled, with the bias, as FP16 rows, gated rows, turned heads, or
// onto the residual stream.
#pragma once

#include "kernels/cuda/prefill/ptx.cuh"
#include "kernels/cuda/prefill_product.h"

namespace uaqf::cuda::prefill {

constexpr int kRowTile = 128;
constexpr int kPackedTiles = kRowTile / kTileRows;  // of layout.h in a row tile
constexpr int kProductThreads = 288;
constexpr int kConsumerWarps = 8;
// A token's 64 rows on their way out, 8 tokens in all banks.
constexpr int kOutPitch = 144;
constexpr int kOutTokens = 64;
constexpr int kOutBytes = kOutTokens * kOutPitch;
constexpr int kScaleBytes = kTokenTile * 4;  // of the tokens, for each warpgroup
constexpr int kMostShared = 232448;

struct ProductParams {
  MatrixView weights;
  const uint8_t* input;
  const float* token_scales;
  ProductTarget target;
  int tokens;
  int padded_tokens;
  int peers;         // blocks of a cluster, side by side in tokens: 1 or 2
  int token_groups;  // clusters side by side in tokens
  int groups;        // clusters' worth of work
  int whole;         // groups before the first that is split
  int parts;         // of a group that is split; 1: none is
  void* scratch;     // see product_split.cuh
};

#if defined(UAQF_SM90)

// Where a block of a cluster stands, and what it works on in turn `group`.
struct Place {
  int row_tile, token_tile;
  __device__ __forceinline__ Place(const ProductParams& p, uint32_t rank, int group)
      : row_tile(group / p.token_groups), token_tile(group % p.token_groups * p.peers + static_cast<int>(rank)) {}
};

// Two values as FP16, the largest one where they do not fit.
__device__ __forceinline__ uint32_t PackSaturated(float2 v) {
  uint32_t pair;
  asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(v.y), "f"(v.x));
  return pair;
}

// The scales of a tile's tokens, in shared memory of a warpgroup. Its threads call it before they multiply, so that
// they need not wait for memory later.
__device__ __forceinline__ void LoadTokenScales(const ProductParams& p, int first, int group, float* scales) {
  const int within = static_cast<int>(threadIdx.x) % 128;
  const float scale = p.token_scales[min(first + within, p.tokens - 1)];
  SyncWarpgroup(1 + group);  // the tile before is done with them
  scales[within] = scale;
  SyncWarpgroup(1 + group);
}

// What a thread holds of the sums of its warp's tile: slots g and g + 8, of 8 j tokens 2 t and 2 t + 1.
template <bool kInt8, class Sum>
struct Results {
  const ProductParams& p;
  const Sum (&sums)[64];
  const float* token_scales;  // LoadTokenScales(), of tokens 2 t and up
  int first_token;            // of j = 0
  int rows[2];                // logical row of each slot
  bool exist[2];
  float scale[2];
  float bias[2];

  __device__ __forceinline__ Results(const ProductParams& p, const Sum (&sums)[64], const float* scales, int tile,
                                     int first, float factor)
      : p(p),
        sums(sums),
        token_scales(scales + static_cast<int>(threadIdx.x) % 4 * 2),
        first_token(first + static_cast<int>(threadIdx.x) % 4 * 2) {
    const int g = threadIdx.x % 32 / 4;
    int count[2];
    p.weights.spec.map.Halves(tile, &rows[0], &rows[1]);
    p.weights.spec.map.Counts(rows[0], rows[1], &count[0], &count[1]);
#pragma unroll
    for (int u = 0; u < 2; ++u) {
      rows[u] += g;
      exist[u] = g < count[u];
      scale[u] = exist[u] && p.weights.row_scales != nullptr ? p.weights.row_scales[rows[u]] * factor : 1.0f;
      bias[u] = exist[u] && p.target.bias != nullptr ? p.target.bias[rows[u]] : 0.0f;
    }
  }

  __device__ __forceinline__ int Token(int j, int e) const { return first_token + j * 8 + e; }
  // Of a token that exists: loads need no branch then, and go out together. What comes of the others is not stored.
  __device__ __forceinline__ int Clamped(int j, int e) const { return min(Token(j, e), p.tokens - 1); }
  // Of both tokens.
  __device__ __forceinline__ float2 At(int j, int u) const {
    float2 v = {static_cast<float>(sums[j * 4 + u * 2]) * scale[u],
                static_cast<float>(sums[j * 4 + u * 2 + 1]) * scale[u]};
    if constexpr (kInt8) {
      const float2 by = *reinterpret_cast<const float2*>(token_scales + j * 8);
      return {fmaf(v.x, by.x, bias[u]), fmaf(v.y, by.y, bias[u])};
    }
    return {v.x + bias[u], v.y + bias[u]};
  }
  __device__ __forceinline__ float2 Gated(int j) const {
    const float2 gate = At(j, 0);
    const float2 up = At(j, 1);
    return {__fdividef(gate.x, 1.0f + __expf(-gate.x)) * up.x, __fdividef(gate.y, 1.0f + __expf(-gate.y)) * up.y};
  }
};

__device__ __forceinline__ void AddTo(float* target, float value) {
  asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(target), "f"(value) : "memory");
}

// residual += results. Each value has one writer. kFull: all rows and tokens of the tile exist.
template <bool kFull, class R>
__device__ __forceinline__ void AddTile(const ProductParams& p, const R& results) {
  const int64_t width = p.weights.spec.map.rows;
#pragma unroll
  for (int j = 0; j < kTokenTile / 8; ++j) {
    float* first = p.target.residual + results.Token(j, 0) * width;
#pragma unroll
    for (int u = 0; u < 2; ++u) {
      const float2 more = results.At(j, u);
      if (!kFull && !results.exist[u]) continue;
      float* at = first + results.rows[u];
      if (kFull || results.Token(j, 0) < p.tokens) AddTo(at, more.x);
      if (kFull || results.Token(j, 1) < p.tokens) AddTo(at + width, more.y);
    }
  }
}

template <class R>
__device__ __forceinline__ void Add(const ProductParams& p, const Place& at, const R& results) {
  const bool full = (at.token_tile + 1) * kTokenTile <= p.tokens && results.exist[0] && results.exist[1];
  if (__all_sync(~0u, full)) {
    AddTile<true>(p, results);
  } else {
    AddTile<false>(p, results);
  }
}

// kOutTokens of this warp's rows into the buffer of its warpgroup, from token 8 first_j on: a row becomes a column.
template <class R>
__device__ __forceinline__ void Transpose(uint32_t buffer, int first_j, const R& results) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32 % 4;
  uint32_t m[4];
#pragma unroll
  for (int j = 0; j < kOutTokens / 8; j += 2) {
#pragma unroll
    for (int i = 0; i < 4; ++i) m[i] = PackSaturated(results.At(first_j + j + i / 2, i % 2));
    StoreTransposed(buffer + ((j + lane / 16) * 8 + lane % 8) * kOutPitch + (warp * 2 + lane / 8 % 2) * 16, m);
  }
}

template <class R>
__device__ __forceinline__ void TransposeGated(uint32_t buffer, int first_j, const R& results) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32 % 4;
  uint32_t m[4];
#pragma unroll
  for (int j = 0; j < kOutTokens / 8; j += 4) {
#pragma unroll
    for (int i = 0; i < 4; ++i) m[i] = PackSaturated(results.Gated(first_j + j + i));
    StoreTransposed(buffer + (j * 8 + lane) * kOutPitch + warp * 16, m);
  }
}

// FP16 rows, turned by shared memory so that neighbouring threads write neighbouring rows. A chunk is a run of 8 rows.
template <bool kGated, class R>
__device__ __forceinline__ void StoreRows(const ProductParams& p, const Place& at, uint32_t buffer, const R& results) {
  constexpr int kChunks = kGated ? 4 : 8;
  constexpr int kStep = 128 / kChunks;
  const int group = threadIdx.x / 128;
  const int within = static_cast<int>(threadIdx.x) % 128;
  const TileMap& map = p.weights.spec.map;
  const int width = kGated ? map.rows / 2 : map.rows;
  const int chunk = within % kChunks;
  const int tile = at.row_tile * kPackedTiles + group * 4 + (kGated ? chunk : chunk / 2);
  int start[2];
  map.Halves(tile, &start[0], &start[1]);
  const int column = start[kGated ? 0 : chunk % 2];
  const bool exists = tile < map.tiles() && column + 8 <= width;
#pragma unroll
  for (int pass = 0; pass < kTokenTile / kOutTokens; ++pass) {
    const int first_j = pass * (kOutTokens / 8);
    if constexpr (kGated) {
      TransposeGated(buffer, first_j, results);
    } else {
      Transpose(buffer, first_j, results);
    }
    SyncWarpgroup(1 + group);
    const int first = at.token_tile * kTokenTile + pass * kOutTokens + within / kChunks;
    __half* out = p.target.rows + int64_t{first} * width + column;
#pragma unroll
    for (int i = 0; i < kOutTokens; i += kStep) {
      const uint4 eight = LoadShared16(buffer + (within / kChunks + i) * kOutPitch + chunk * 16);
      if (exists && first + i < p.tokens) *reinterpret_cast<uint4*>(out + int64_t{i} * width) = eight;
    }
    SyncWarpgroup(1 + group);
  }
}

#endif  // UAQF_SM90

}  // namespace uaqf::cuda::prefill
