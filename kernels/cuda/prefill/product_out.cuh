// How the sums of a product (product.cuh) leave it: scaled, with the bias, as FP16 rows, gated rows, or onto the
// residual stream.
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
constexpr int kMostShared = 232448;
constexpr int kMostDevices = 64;

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
};

#if defined(UAQF_SM90)

__device__ __forceinline__ __half2 AsHalves(uint32_t bits) { return *reinterpret_cast<const __half2*>(&bits); }
__device__ __forceinline__ uint32_t AsBits(__half2 pair) { return *reinterpret_cast<const uint32_t*>(&pair); }

// Where a block of a cluster stands, and what it works on in turn `group`.
struct Place {
  int row_tile, token_tile;
  __device__ __forceinline__ Place(const ProductParams& p, uint32_t rank, int group)
      : row_tile(group / p.token_groups), token_tile(group % p.token_groups * p.peers + static_cast<int>(rank)) {}
};

__device__ __forceinline__ float Saturate(float v) { return fminf(fmaxf(v, -65504.0f), 65504.0f); }

// What a thread holds of the sums of its warp's tile: slots g and g + 8, of 8 j tokens 2 t and 2 t + 1.
template <bool kInt8, class Sum>
struct Results {
  const ProductParams& p;
  const Sum (&sums)[64];
  int first_token;  // of j = 0
  int rows[2];      // logical row of each slot
  bool exist[2];
  float scale[2];
  float bias[2];

  __device__ __forceinline__ Results(const ProductParams& p, const Sum (&sums)[64], int tile, int first, float factor)
      : p(p), sums(sums), first_token(first + static_cast<int>(threadIdx.x) % 4 * 2) {
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
  __device__ __forceinline__ float At(int j, int u, int e) const {
    float v = static_cast<float>(sums[j * 4 + u * 2 + e]) * scale[u];
    if constexpr (kInt8) v *= p.token_scales[Clamped(j, e)];
    return v + bias[u];
  }
  __device__ __forceinline__ float Gated(int j, int e) const {
    const float gate = At(j, 0, e);
    return __fdividef(gate, 1.0f + __expf(-gate)) * At(j, 1, e);
  }
};

// residual += results. Each value has one writer.
template <class R>
__device__ __forceinline__ void Add(const ProductParams& p, const R& results) {
  constexpr int kBatch = 4;
  const int64_t width = p.weights.spec.map.rows;
#pragma unroll
  for (int first = 0; first < kTokenTile / 8; first += kBatch) {
    float before[kBatch * 4];
    const auto at = [&](int i) {
      const int u = i / 2 % 2;
      return p.target.residual + results.Clamped(first + i / 4, i % 2) * width +
             (results.exist[u] ? results.rows[u] : 0);
    };
#pragma unroll
    for (int i = 0; i < kBatch * 4; ++i) before[i] = *at(i);
#pragma unroll
    for (int i = 0; i < kBatch * 4; ++i) {
      const int u = i / 2 % 2;
      const float sum = before[i] + results.At(first + i / 4, u, i % 2);
      if (results.exist[u] && results.Token(first + i / 4, i % 2) < p.tokens) *at(i) = sum;
    }
  }
}

// FP16 rows, turned by shared memory so that neighbouring threads write neighbouring rows. A chunk is a run of 8 rows.
template <class R>
__device__ __forceinline__ void StoreRows(const ProductParams& p, const Place& at, uint32_t buffer, const R& results) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32 % 4;
  const int group = threadIdx.x / 128;
  const TileMap& map = p.weights.spec.map;
  const bool gated = p.target.kind == ProductTarget::kGated;
  const int chunks = gated ? 4 : 8;
  const int width = gated ? map.rows / 2 : map.rows;
  const int chunk = static_cast<int>(threadIdx.x) % chunks;
  const int first_tile = at.row_tile * kPackedTiles + group * 4;
  int start[2];
  map.Halves(first_tile + (gated ? chunk : chunk / 2), &start[0], &start[1]);
  const int column = start[gated ? 0 : chunk % 2];
  const bool exists = first_tile + (gated ? chunk : chunk / 2) < map.tiles() && column + 8 <= width;
#pragma unroll
  for (int pass = 0; pass < kTokenTile / kOutTokens; ++pass) {
    const int pass_j = pass * (kOutTokens / 8);
    uint32_t m[4];
    if (gated) {
#pragma unroll
      for (int j = 0; j < kOutTokens / 8; j += 4) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int at_j = pass_j + j + i;
          m[i] = AsBits(__floats2half2_rn(Saturate(results.Gated(at_j, 0)), Saturate(results.Gated(at_j, 1))));
        }
        StoreTransposed(buffer + (j * 8 + lane) * kOutPitch + warp * 16, m);
      }
    } else {
#pragma unroll
      for (int j = 0; j < kOutTokens / 8; j += 2) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int at_j = pass_j + j + i / 2;
          m[i] = AsBits(__floats2half2_rn(Saturate(results.At(at_j, i % 2, 0)), Saturate(results.At(at_j, i % 2, 1))));
        }
        StoreTransposed(buffer + ((j + lane / 16) * 8 + lane % 8) * kOutPitch + (warp * 2 + lane / 8 % 2) * 16, m);
      }
    }
    SyncWarpgroup(1 + group);
    const int first = at.token_tile * kTokenTile + pass * kOutTokens;
    for (int i = static_cast<int>(threadIdx.x) % 128 / chunks; i < kOutTokens; i += 128 / chunks) {
      const uint4 eight = LoadShared16(buffer + i * kOutPitch + chunk * 16);
      if (exists && first + i < p.tokens) {
        *reinterpret_cast<uint4*>(p.target.rows + int64_t{first + i} * width + column) = eight;
      }
    }
    SyncWarpgroup(1 + group);
  }
}

#endif  // UAQF_SM90

}  // namespace uaqf::cuda::prefill
