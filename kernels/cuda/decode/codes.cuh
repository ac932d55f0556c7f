// How a warp multiplies its share of a tile: 16 rows times a run of columns, weights in shared memory.
//
// Products run on mma.sync with the vector in the first columns of B. FP16 activations are split into high and low
// halves, which take two of the eight columns for nothing and give back the precision of FP32.
// Integer codes are not converted: an unsigned code in the low bits of an FP16 is the subnormal code * 2^-24, which the
// tensor cores multiply exactly, so that a mask is all it takes. The offset that makes a code unsigned is taken off
// through the sum of the activations.
#pragma once

#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/decode/ptx.cuh"

namespace uaqf::cuda {

// Addresses of the staged vector in shared memory, and which lane reads what of it.
struct Activations {
  uint32_t vector;  // this lane's: high or low halves, from its column 8 t on; or INT8
  uint32_t sums;
  bool on;  // this lane carries a column of B
};

// One row of sums of a warp's share: slots g and g + 8 of the tile, meaningful in the lanes with t = 0.
struct FloatSums {
  using Word = float;
  float low = 0;
  float high = 0;
};
struct IntSums {
  using Word = int;
  int low = 0;
  int high = 0;
};

struct Fp16Rows {
  using Sums = FloatSums;
  using Vector = uint4;
  static constexpr bool kRows = true;
  static constexpr bool kInt8Vector = false;
  static constexpr int kSumCols = 0;
  static constexpr int kGroup = 0;
  static constexpr int kBlockBytes = kChunkBytes;
  static constexpr int kStepCols = kRowChunkCols;
  static constexpr int kBlocksPerChunk = 1;
  static constexpr Format kFormat = Format::kFp16;

  // 16-byte piece of a chunk row, swapped by halves of 128 bytes in odd rows so that two rows fill all banks.
  static __device__ __forceinline__ uint32_t Place(int row, int piece) {
    return row * (kRowChunkCols * 2) + ((piece ^ ((row & 1) << 2)) << 4);
  }

  static __device__ __forceinline__ void Block(uint32_t slot, int block, const Activations& x, int lane, uint4* b,
                                               Sums& sums) {
    float even[4] = {};
    float odd[4] = {};
    const int g = lane >> 2;
    const uint32_t vector = x.vector + block * (kStepCols * 2);
#pragma unroll
    for (int p = 0; p < kStepCols / 32; ++p) {
      const uint32_t at = slot + Place(g, p * 4 + (lane & 3));
      const uint4 low = LoadShared16(at);
      const uint4 high = LoadShared16(at + 8 * kRowChunkCols * 2);
      LoadWhere(x.on, vector + p * 64, b[p]);
      MultiplyFp16(even, low.x, high.x, low.y, high.y, b[p].x, b[p].y);
      MultiplyFp16(odd, low.z, high.z, low.w, high.w, b[p].z, b[p].w);
    }
    sums.low += (even[0] + odd[0]) + (even[1] + odd[1]);
    sums.high += (even[2] + odd[2]) + (even[3] + odd[3]);
  }
};

struct Int8Blocks {
  using Sums = FloatSums;
  using Vector = uint4;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = false;
  static constexpr int kSumCols = 128;
  static constexpr int kGroup = 0;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt8, 0);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kBlockChunkBytes / 2048;
  static constexpr Format kFormat = Format::kInt8;

  static __device__ __forceinline__ uint32_t Even(uint32_t w) { return (w ^ 0x80808080u) & 0x00FF00FFu; }
  static __device__ __forceinline__ uint32_t Odd(uint32_t w) { return ((w >> 8) ^ 0x00800080u) & 0x00FF00FFu; }

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, uint4* b,
                                               Sums& sums) {
    float even[4] = {};
    float odd[4] = {};
    const uint32_t vector = x.vector + block * 256;
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const uint4 w = LoadShared16(at + p * 512 + lane * 16);
      LoadWhere(x.on, vector + p * 64, b[p]);
      MultiplyFp16(even, Even(w.x), Even(w.y), Odd(w.x), Odd(w.y), b[p].x, b[p].y);
      MultiplyFp16(odd, Even(w.z), Even(w.w), Odd(w.z), Odd(w.w), b[p].z, b[p].w);
    }
    const float offset = -128.0f * __uint_as_float(LoadShared4(x.sums + block * 4));
    sums.low += fmaf((even[0] + odd[0]) + (even[1] + odd[1]), 0x1p24f, offset);
    sums.high += fmaf((even[2] + odd[2]) + (even[3] + odd[3]), 0x1p24f, offset);
  }
};

// kGroup_: columns to an FP16 scale, 0 for a scale a row (applied at the end).
template <int kGroup_>
struct Int4Blocks {
  using Sums = FloatSums;
  using Vector = uint4;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = false;
  static constexpr int kGroup = kGroup_;
  static constexpr int kSumCols = kGroup_ == 0 ? 128 : kGroup_;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt4, kGroup_);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kBlockChunkBytes / 1024;
  static constexpr Format kFormat = Format::kInt4;

  static __device__ __forceinline__ void Multiply(float (&d)[4], uint32_t w, uint32_t b0, uint32_t b1) {
    const uint32_t v = w >> 8;
    MultiplyFp16(d, w & 0x000F000Fu, w & 0x00F000F0u, v & 0x000F000Fu, v & 0x00F000F0u, b0, b1);
  }

  // Takes the offset off and the scale on; the upper nibbles stand four bits higher.
  static __device__ __forceinline__ void Fold(const float (&even)[4], const float (&odd)[4], float offset,
                                              uint32_t scales, Sums& sums) {
    const float low = fmaf((even[0] + odd[0]) + (even[1] + odd[1]), 0x1p24f, offset);
    const float high = fmaf((even[2] + odd[2]) + (even[3] + odd[3]), 0x1p20f, offset);
    if constexpr (kGroup == 0) {
      sums.low += low;
      sums.high += high;
    } else {
      const float2 s = __half22float2(*reinterpret_cast<const __half2*>(&scales));
      sums.low = fmaf(low, s.x, sums.low);
      sums.high = fmaf(high, s.y, sums.high);
    }
  }

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, uint4* b,
                                               Sums& sums) {
    constexpr int kPairs = kSumCols / 32;
    const uint32_t vector = x.vector + block * 256;
    const uint4 words[2] = {LoadShared16(at + lane * 16), LoadShared16(at + 512 + lane * 16)};
#pragma unroll
    for (int p = 0; p < 4; ++p) LoadWhere(x.on, vector + p * 64, b[p]);
#pragma unroll
    for (int q = 0; q < 4 / kPairs; ++q) {
      float even[4] = {};
      float odd[4] = {};
#pragma unroll
      for (int p = q * kPairs; p < (q + 1) * kPairs; ++p) {
        Multiply(even, p & 1 ? words[p / 2].z : words[p / 2].x, b[p].x, b[p].y);
        Multiply(odd, p & 1 ? words[p / 2].w : words[p / 2].y, b[p].z, b[p].w);
      }
      const float offset = -8.0f * __uint_as_float(LoadShared4(x.sums + (block * (4 / kPairs) + q) * 4));
      const uint32_t scales = kGroup == 0 ? 0 : LoadShared4(at + 1024 + q * 32 + (lane >> 2) * 4);
      Fold(even, odd, offset, scales, sums);
    }
  }
};

struct Int8BlocksInt8Vector {
  using Sums = IntSums;
  using Vector = uint2;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = true;
  static constexpr int kGroup = 0;
  static constexpr int kSumCols = 0;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt8, 0);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kBlockChunkBytes / 2048;
  static constexpr Format kFormat = Format::kInt8;

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, uint2* b,
                                               Sums& sums) {
    int even[4] = {};
    int odd[4] = {};
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const uint4 w = LoadShared16(at + p * 512 + lane * 16);
      LoadWhere(x.on, x.vector + block * 128 + p * 32, b[p]);
      MultiplyInt8<false>(p & 1 ? odd : even, w.x, w.y, w.z, w.w, b[p].x, b[p].y);
    }
    sums.low += even[0] + odd[0];
    sums.high += even[2] + odd[2];
  }
};

struct Int4BlocksInt8Vector {
  using Sums = IntSums;
  using Vector = uint2;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = true;
  static constexpr int kGroup = 0;
  static constexpr int kSumCols = 128;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt4, 0);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kBlockChunkBytes / 1024;
  static constexpr Format kFormat = Format::kInt4;

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, uint2* b,
                                               Sums& sums) {
    constexpr uint32_t kMask = 0x0F0F0F0Fu;
    int even[4] = {};
    int odd[4] = {};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const uint4 w = LoadShared16(at + h * 512 + lane * 16);
      const uint32_t vector = x.vector + block * 128 + h * 64;
      uint2* const pair = b + 2 * h;
      LoadWhere(x.on, vector, pair[0]);
      LoadWhere(x.on, vector + 32, pair[1]);
      MultiplyInt8<true>(even, w.x & kMask, (w.x >> 4) & kMask, w.y & kMask, (w.y >> 4) & kMask, pair[0].x, pair[0].y);
      MultiplyInt8<true>(odd, w.z & kMask, (w.z >> 4) & kMask, w.w & kMask, (w.w >> 4) & kMask, pair[1].x, pair[1].y);
    }
    const int offset = kInt4Offset * static_cast<int>(LoadShared4(x.sums + block * 4));
    sums.low += even[0] + odd[0] - offset;
    sums.high += even[2] + odd[2] - offset;
  }
};

// The `count` blocks of a chunk. A full chunk is straight code, so that its loads and products overlap.
template <class W, class Vector>
__device__ __forceinline__ void AccumulateBlocks(uint32_t slot, int count, int block, const Activations& x, int lane,
                                                 Vector (&b)[4], typename W::Sums& sums) {
  if (count >= W::kBlocksPerChunk) {
#pragma unroll
    for (int i = 0; i < W::kBlocksPerChunk; ++i) {
      W::Block(slot + i * W::kBlockBytes, block + i, x, lane, b, sums);
    }
    return;
  }
#pragma unroll 1
  for (int i = 0; i < count; ++i) W::Block(slot + i * W::kBlockBytes, block + i, x, lane, b, sums);
}

}  // namespace uaqf::cuda
