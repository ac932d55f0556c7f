// How a warp multiplies its share of a tile: 16 rows times a run of columns, weights in shared memory.
//
// Products run on mma.sync with the vector in the first columns of B, so that several columns cost no more than one:
// FP16 weights take the vector as high and low halves, which gives back the precision of FP32; integer codes take it
// as three digits of base 256 (see StoreDigits), so that every product and sum is an exact integer and no code has to
// become a float. Where the activations are INT8 themselves one column is enough.
#pragma once

#include <type_traits>

#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/decode/ptx.cuh"

namespace uaqf::cuda {

// The staged vector in shared memory, and which lane reads what of it.
struct Activations {
  uint32_t vector;  // this lane's: high or low halves, from its column 8 t on; or a plane of bytes
  uint32_t scales;  // of blocks of digits; or sums of INT8 blocks
  uint32_t sums;    // of groups of digits
  int inputs;       // of the matrix, and all its columns
  int columns;
  bool on;          // this lane carries a column of B
  float digits[2];  // what the two products of this lane count: powers of 256, or nothing

  __device__ __forceinline__ Activations(const TokenParams& p, const OpShape& s, uint32_t act, int lane, int planes)
      : vector(act),
        scales(act + p.scales_offset),
        sums(act + p.sums_offset),
        inputs(s.inputs),
        columns(s.cols),
        digits{0, 0} {
    const int t = lane & 3;
    const int column = lane >> 2;
    if (planes == 0) {
      vector += t * 16 + (column == 1 ? p.low_offset : 0);
      on = column < 2;
    } else {
      vector += t * 8 + column * p.plane_bytes;
      on = column < planes;
    }
    if (t == 0) digits[0] = 1, digits[1] = 256;
    if (t == 1) digits[0] = 65536;
  }
};

// One row of sums of a warp's share: slots g and g + 8 of the tile, after Finish in the lanes with t = 0.
struct FloatSums {
  using Word = float;
  float low = 0;
  float high = 0;
  __device__ __forceinline__ void Finish() {}
};
// Digits are in two neighbouring lanes.
struct DigitSums {
  using Word = float;
  float low = 0;
  float high = 0;

  // Adds the products of a block, or of a group of it, times the scales of their rows.
  __device__ __forceinline__ void Add(const int (&even)[4], const int (&odd)[4], const Activations& x, float2 scales) {
    const float first[2] = {static_cast<float>(even[0] + odd[0]), static_cast<float>(even[1] + odd[1])};
    const float second[2] = {static_cast<float>(even[2] + odd[2]), static_cast<float>(even[3] + odd[3])};
    low = fmaf(fmaf(first[0], x.digits[0], first[1] * x.digits[1]), scales.x, low);
    high = fmaf(fmaf(second[0], x.digits[0], second[1] * x.digits[1]), scales.y, high);
  }
  __device__ __forceinline__ void Finish() {
    low += __shfl_xor_sync(~0u, low, 1);
    high += __shfl_xor_sync(~0u, high, 1);
  }
};
// And what zeros take off, in as many lanes as a block has groups.
struct AffineSums : DigitSums {
  __device__ __forceinline__ void Finish() {
    DigitSums::Finish();
    low += __shfl_xor_sync(~0u, low, 2);
    high += __shfl_xor_sync(~0u, high, 2);
  }
};
struct IntSums {
  using Word = int;
  int low = 0;
  int high = 0;
  __device__ __forceinline__ void Finish() {}
};

struct Fp16Steps {
  using Sums = FloatSums;
  static constexpr bool kRows = true;
  static constexpr bool kInt8Vector = false;
  static constexpr int kPlanes = 0;
  static constexpr int kInFlight = 2;  // chunks
  static constexpr int kSumCols = 0;
  static constexpr int kZeroGroup = 0;
  static constexpr int kRoundGroup = 0;
  static constexpr int kBlockBytes = 1024;  // of a step in one half of the tile
  static constexpr int kStepCols = kRowStepCols;
  static constexpr int kBlocksPerChunk = kRowSteps;
  static constexpr int kMostBlocks = kBlocksPerChunk;

  // Row of a half that slot g holds: neighbouring lanes read rows that the swizzle puts into different banks.
  static __device__ __forceinline__ int RowOf(int g) { return (g & 1) << 2 | g >> 1; }

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, Sums& sums) {
    float even[4] = {};
    float odd[4] = {};
    const uint32_t line = at + RowOf(lane >> 2) * 128;
    const uint32_t swizzle = (line >> 7 & 7) << 4;
    const uint32_t vector = x.vector + block * (kStepCols * 2);
#pragma unroll
    for (int p = 0; p < kStepCols / 32; ++p) {
      const uint32_t piece = line + ((p * 64 + (lane & 3) * 16) ^ swizzle);
      const auto low = LoadShared<uint4>(piece);
      const auto high = LoadShared<uint4>(piece + kChunkBytes / 2);
      const auto b = LoadWhere<uint4>(x.on, vector + p * 64);
      MultiplyFp16(even, low.x, high.x, low.y, high.y, b.x, b.y);
      MultiplyFp16(odd, low.z, high.z, low.w, high.w, b.z, b.w);
    }
    sums.low += (even[0] + odd[0]) + (even[1] + odd[1]);
    sums.high += (even[2] + odd[2]) + (even[3] + odd[3]);
  }
};

struct Int8Blocks {
  using Sums = DigitSums;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = false;
  static constexpr int kPlanes = 3;
  static constexpr int kInFlight = 2;
  static constexpr int kSumCols = 0;
  static constexpr int kZeroGroup = 0;
  static constexpr int kRoundGroup = 0;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt8, 0, false);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kChunkBytes / 2048;
  static constexpr int kMostBlocks = kBlocksPerChunk;

  static __device__ __forceinline__ int RowOf(int g) { return g; }

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, Sums& sums) {
    int even[4] = {};
    int odd[4] = {};
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const uint4 w = LoadShared<uint4>(at + p * 512 + lane * 16);
      const auto b = LoadWhere<uint2>(x.on, x.vector + block * 128 + p * 32);
      MultiplyInt8<false>(p & 1 ? odd : even, w.x, w.y, w.z, w.w, b.x, b.y);
    }
    const float scale = __uint_as_float(LoadShared<uint32_t>(x.scales + block * 4));
    sums.Add(even, odd, x, {scale, scale});
  }
};

// kGroup: columns to an FP16 scale, 0 for a scale a row (applied at the end). kAffine: each group has a zero too, and
// the input may have another order.
template <int kGroup, bool kAffine = false>
struct Int4Blocks {
  using Sums = std::conditional_t<kAffine, AffineSums, DigitSums>;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = false;
  static constexpr int kPlanes = 3;
  static constexpr int kInFlight = 1;
  static constexpr int kSumCols = 0;
  static constexpr int kZeroGroup = kAffine ? kGroup : 0;
  static constexpr int kRoundGroup = 0;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt4, kGroup, kAffine);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kChunkBytes / 1024;
  static constexpr int kMostBlocks = kBlocksPerChunk;

  static __device__ __forceinline__ int RowOf(int g) { return g; }

  // Codes as signed bytes, 16 times as large: a nibble is code + 8, and in the upper half of a byte that is the code's
  // two's complement with its sign turned round.
  static __device__ __forceinline__ uint32_t Upper(uint32_t w) { return MaskAndFlip(w, 0xF0F0F0F0u, 0x80808080u); }

  // Takes off what the zeros of the block's groups add: zero times scale times the sum of the group's digits. A lane in
  // four has group t, whose scales are `rows`.
  static __device__ __forceinline__ void TakeZeros(uint32_t at, int block, float scale, float2 rows,
                                                   const Activations& x, int lane, Sums& sums) {
    constexpr int kGroups = kBlockCols / kGroup;
    const int t = lane & 3;
    const bool on = t < kGroups;
    const int zeros = ZerosOffset(Format::kInt4, kGroup) + t * kTileRows + (lane >> 2) * 2;
    const uint32_t bytes = LoadWhere<uint16_t>(on, at + zeros);
    const float sum = LoadWhere<float>(on, x.sums + (block * kGroups + t) * 4) * scale;
    // 2^23 + byte, without a conversion.
    constexpr float kMagic = 8388608.0f + kInt4Offset;
    const float low = kMagic - __uint_as_float(__byte_perm(bytes, 0x4B000000u, 0x7440));
    const float high = kMagic - __uint_as_float(__byte_perm(bytes, 0x4B000000u, 0x7441));
    sums.low = fmaf(low * sum, rows.x, sums.low);
    sums.high = fmaf(high * sum, rows.y, sums.high);
  }

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, Sums& sums) {
    constexpr int kPairs = kGroup == 0 ? 4 : kGroup / 32;  // 32-column steps that share a scale
    const uint4 words[2] = {LoadShared<uint4>(at + lane * 16), LoadShared<uint4>(at + 512 + lane * 16)};
    uint2 b[4];
#pragma unroll
    for (int p = 0; p < 4; ++p) b[p] = LoadWhere<uint2>(x.on, x.vector + block * 128 + p * 32);
    const float scale = __uint_as_float(LoadShared<uint32_t>(x.scales + block * 4)) * (1.0f / 16);
    float2 own = {0, 0};  // scales of this lane's group
#pragma unroll
    for (int q = 0; q < 4 / kPairs; ++q) {
      int even[4] = {};
      int odd[4] = {};
#pragma unroll
      for (int p = q * kPairs; p < (q + 1) * kPairs; ++p) {
        const uint32_t w0 = p & 1 ? words[p / 2].z : words[p / 2].x;
        const uint32_t w1 = p & 1 ? words[p / 2].w : words[p / 2].y;
        MultiplyInt8<false>(p & 1 ? odd : even, Upper(w0 << 4), Upper(w0), Upper(w1 << 4), Upper(w1), b[p].x, b[p].y);
      }
      if constexpr (kGroup == 0) {
        sums.Add(even, odd, x, {scale, scale});
      } else {
        const uint32_t pair = LoadShared<uint32_t>(at + 1024 + q * 32 + (lane >> 2) * 4);
        const float2 rows = __half22float2(*reinterpret_cast<const __half2*>(&pair));
        sums.Add(even, odd, x, {scale * rows.x, scale * rows.y});
        if (kAffine && (lane & 3) == q) own = rows;
      }
    }
    if constexpr (kAffine) TakeZeros(at, block, scale * 16, own, x, lane, sums);
  }
};

// INT4 weights beside an input in groups of INT4, and INT8 at its end (rounding.h): integer products, two scales a
// group. Columns behind the inputs are the low halves of INT8 weights over the last inputs again, 0..15.
template <int kGroup>
struct Int4BlocksRounded {
  using Sums = FloatSums;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = false;
  static constexpr int kPlanes = 1;
  static constexpr int kInFlight = 1;
  static constexpr int kSumCols = 0;
  static constexpr int kZeroGroup = 0;
  static constexpr int kRoundGroup = kGroup;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt4, kGroup, true);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kChunkBytes / 1024;
  // The low halves of a group are one block more than a power of two, where widths are: no chunk of its own.
  static constexpr int kMostBlocks = kBlocksPerChunk + 1;

  static __device__ __forceinline__ int RowOf(int g) { return g; }

  template <bool kLow>
  static __device__ __forceinline__ void Group(uint32_t at, int q, const uint4 (&words)[2], int column,
                                               const Activations& x, int lane, Sums& sums) {
    constexpr int kPairs = kGroup / 32;
    const auto operand = [](uint32_t w) { return kLow ? w & 0xF0F0F0F0u : MaskAndFlip(w, 0xF0F0F0F0u, 0x80808080u); };
    int even[4] = {};
    int odd[4] = {};
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const int p = q * kPairs + i;
      const auto b = LoadWhere<uint2>(x.on, x.vector + column + i * 32);
      const uint32_t w0 = p & 1 ? words[p / 2].z : words[p / 2].x;
      const uint32_t w1 = p & 1 ? words[p / 2].w : words[p / 2].y;
      MultiplyInt8<kLow>(p & 1 ? odd : even, operand(w0 << 4), operand(w0), operand(w1 << 4), operand(w1), b.x, b.y);
    }
    const float scale = LoadShared<float>(x.scales + column / kGroup * 4) * (1.0f / 16);
    const uint32_t pair = LoadShared<uint32_t>(at + CodeBytes(Format::kInt4) + q * 32 + (lane >> 2) * 4);
    const float2 rows = __half22float2(*reinterpret_cast<const __half2*>(&pair));
    sums.low = fmaf(static_cast<float>(even[0] + odd[0]), scale * rows.x, sums.low);
    sums.high = fmaf(static_cast<float>(even[2] + odd[2]), scale * rows.y, sums.high);
  }

  // kInner: all columns are inputs.
  template <bool kInner = false>
  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, Sums& sums) {
    const uint4 words[2] = {LoadShared<uint4>(at + lane * 16), LoadShared<uint4>(at + 512 + lane * 16)};
#pragma unroll
    for (int q = 0; q < kBlockCols / kGroup; ++q) {
      const int column = block * kBlockCols + q * kGroup;
      if (kInner || column < x.inputs) {
        Group<false>(at, q, words, column, x, lane, sums);
      } else if (column < x.columns) {
        Group<true>(at, q, words, column - (x.columns - x.inputs), x, lane, sums);
      }
    }
  }
};

struct Int8BlocksInt8Vector {
  using Sums = IntSums;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = true;
  static constexpr int kPlanes = 1;
  static constexpr int kInFlight = 2;
  static constexpr int kSumCols = 0;
  static constexpr int kZeroGroup = 0;
  static constexpr int kRoundGroup = 0;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt8, 0, false);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kChunkBytes / 2048;
  static constexpr int kMostBlocks = kBlocksPerChunk;

  static __device__ __forceinline__ int RowOf(int g) { return g; }

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, Sums& sums) {
    int even[4] = {};
    int odd[4] = {};
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const uint4 w = LoadShared<uint4>(at + p * 512 + lane * 16);
      const auto b = LoadWhere<uint2>(x.on, x.vector + block * 128 + p * 32);
      MultiplyInt8<false>(p & 1 ? odd : even, w.x, w.y, w.z, w.w, b.x, b.y);
    }
    sums.low += even[0] + odd[0];
    sums.high += even[2] + odd[2];
  }
};

struct Int4BlocksInt8Vector {
  using Sums = IntSums;
  static constexpr bool kRows = false;
  static constexpr bool kInt8Vector = true;
  static constexpr int kPlanes = 1;
  static constexpr int kInFlight = 1;
  static constexpr int kSumCols = 128;
  static constexpr int kZeroGroup = 0;
  static constexpr int kRoundGroup = 0;
  static constexpr int kBlockBytes = BlockBytes(Format::kInt4, 0, false);
  static constexpr int kStepCols = kBlockCols;
  static constexpr int kBlocksPerChunk = kChunkBytes / 1024;
  static constexpr int kMostBlocks = kBlocksPerChunk;

  static __device__ __forceinline__ int RowOf(int g) { return g; }

  static __device__ __forceinline__ void Block(uint32_t at, int block, const Activations& x, int lane, Sums& sums) {
    constexpr uint32_t kMask = 0x0F0F0F0Fu;
    int even[4] = {};
    int odd[4] = {};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const uint4 w = LoadShared<uint4>(at + h * 512 + lane * 16);
      const uint32_t vector = x.vector + block * 128 + h * 64;
      const uint2 pair[2] = {LoadWhere<uint2>(x.on, vector), LoadWhere<uint2>(x.on, vector + 32)};
      MultiplyInt8<true>(even, w.x & kMask, (w.x >> 4) & kMask, w.y & kMask, (w.y >> 4) & kMask, pair[0].x, pair[0].y);
      MultiplyInt8<true>(odd, w.z & kMask, (w.z >> 4) & kMask, w.w & kMask, (w.w >> 4) & kMask, pair[1].x, pair[1].y);
    }
    const int offset = kInt4Offset * static_cast<int>(LoadShared<uint32_t>(x.scales + block * 4));
    sums.low += even[0] + odd[0] - offset;
    sums.high += even[2] + odd[2] - offset;
  }
};

// Blocks in the next chunk when `left` are left of a tile.
template <class W>
__device__ __forceinline__ int ChunkBlocks(int left) {
  return left <= W::kMostBlocks ? left : W::kBlocksPerChunk;
}

// This warp's blocks of a chunk of `count` blocks that starts at `block`: every kWarps-th. A full chunk is straight
// code, so that its loads and products overlap; what is more than that falls to another warp in each `turn`.
template <class W>
__device__ __forceinline__ void AccumulateShare(uint32_t slot, int count, int block, int warp, int turn,
                                                const Activations& x, int lane, typename W::Sums& sums) {
  constexpr int kWhole = W::kBlocksPerChunk;
  constexpr bool kRounded = W::kRoundGroup > 0;
  const auto one = [&](int at) { W::Block(slot + at * W::kBlockBytes, block + at, x, lane, sums); };
  if (count >= kWhole && (!kRounded || (block + kWhole) * W::kStepCols <= x.inputs)) {
#pragma unroll
    for (int i = 0; i < kWhole / kWarps; ++i) {
      const int at = i * kWarps + warp;
      if constexpr (kRounded) {
        W::template Block<true>(slot + at * W::kBlockBytes, block + at, x, lane, sums);
      } else {
        one(at);
      }
    }
    if (W::kMostBlocks > kWhole && count > kWhole && warp == turn % kWarps) one(kWhole);
    return;
  }
#pragma unroll 1
  for (int at = warp; at < count; at += kWarps) one(at);
}

}  // namespace uaqf::cuda
