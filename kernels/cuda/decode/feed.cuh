// The stream of a block: every weight and cache byte that it will need in this token, in order, whatever waits for
// what. Weights and past keys depend on nothing in this token, so one warp does nothing but copy them into a ring of
// chunks in shared memory, and memory stays busy while the computing warps wait for other blocks. A chunk is a run of
// one tile's columns, or of one head's positions; all computing warps read it, each its own part.
#pragma once

#include "kernels/cuda/decode/codes.cuh"
#include "kernels/cuda/kv_cache.h"

namespace uaqf::cuda {

// A kind of weights over a quantized cache.
template <class Base, int kBits>
struct WithKv : Base {};
template <class W>
inline constexpr int kKvBits = 16;
template <class Base, int kBits>
inline constexpr int kKvBits<WithKv<Base, kBits>> = kBits;

// Weights whose input may have an order of its own: what blocks publish is then put where the reader wants it.
template <class W>
inline constexpr bool kPlaced = W::kZeroGroup > 0 || W::kRoundGroup > 0;

__device__ __forceinline__ int PlaceOf(const int32_t* place, int i) { return place == nullptr ? i : __ldg(place + i); }

// Into L2, for a PlaceOf that something waits for.
__device__ __forceinline__ void PrefetchPlace(const int32_t* place, int i) {
  if (place != nullptr) asm volatile("prefetch.global.L2 [%0];" ::"l"(place + i));
}

enum Op { kQkvOp, kAttendOp, kOutOp, kGateUpOp, kDownOp, kHeadOp, kEndOp };

__device__ __forceinline__ int MatrixOf(int op) { return op == kQkvOp ? kQkvMatrix : op - 1; }

// Constant for the life of a block.
struct Context {
  const TokenParams& p;
  const LayerTable* table;  // in shared memory
  unsigned char* act;       // staged vector, or the states of attention
  uint32_t* part;           // sums of warps, see PartAt
  float* rope;              // cos, then sin, of this position; over a quantized cache, Turns of attention
  float* scratch;           // [64] reductions
  uint32_t slots;           // the ring
  uint32_t full, empty;     // and its barriers, one a slot
  uint64_t policy;
  int cta, warp, lane;
  int position, token;
  uint32_t first_mark;  // of layer 0 in this step
  uint32_t token_mark;  // of the embedding
  int past_begin;       // first position of the window
  int split_positions;  // past positions of the window that a split attends to, at most
  int unit_positions;   // of which a chunk holds so many
};

__device__ __forceinline__ uint32_t MarkOf(const Context& x, int layer) { return (x.first_mark + layer) & 1; }

// A place in the stream.
struct Cursor {
  int op = kQkvOp;
  int layer = 0;
  int base = 0;  // block that takes the first item of the op: rotates, so that the odd tiles even out over ops
  int tile = 0;
  int block = 0;
  int task = 0, split = 0;
  int from = 0, past_end = 0;  // positions
};

__device__ __forceinline__ int TakeTurn(int& base, int items, int grid, int cta) {
  int mine = cta - base;
  if (mine < 0) mine += grid;
  base += items;
  if (base >= grid) base -= grid;
  return mine;
}

// Enters c.op of c.layer; false if there is nothing to bring in it.
__device__ __forceinline__ bool Open(const Context& x, Cursor& c) {
  const TokenParams& p = x.p;
  if (c.op == kAttendOp) {
    const int mine = TakeTurn(c.base, p.attend_blocks, p.grid, x.cta);
    c.task = mine / p.splits;
    c.split = mine - c.task * p.splits;
    c.from = min(x.past_begin + c.split * x.split_positions, x.position);
    c.past_end = mine < p.attend_blocks ? min(c.from + x.split_positions, x.position) : c.from;
    return c.from < c.past_end;
  }
  c.tile = TakeTurn(c.base, p.op[MatrixOf(c.op)].tiles_mod, p.grid, x.cta);
  c.block = 0;
  return c.tile < p.op[MatrixOf(c.op)].tiles;
}

__device__ __forceinline__ void NextOp(const Context& x, Cursor& c) {
  for (;;) {
    if (c.op == kDownOp && c.layer + 1 < x.p.layers) {
      c.op = kQkvOp;
      ++c.layer;
    } else {
      ++c.op;
    }
    if (c.op == kEndOp || Open(x, c)) return;
  }
}

// The tensor map of the matrix of the op at `c`.
__device__ __forceinline__ const unsigned char* RowMapOf(const Context& x, const Cursor& c) {
  return x.p.row_maps + (c.op == kHeadOp ? x.p.layers * 4 : c.layer * 4 + MatrixOf(c.op)) * 128;
}

// 16 rows of kRowSteps steps, each step 8 rows of 128 bytes with their 16-byte pieces swizzled by the address: first
// the steps of the tile's first half, then those of its second.
__device__ __forceinline__ void CopyRows(const Context& x, const Cursor& c, uint32_t slot, uint32_t barrier) {
  const OpShape& s = x.p.op[MatrixOf(c.op)];
  int first;
  int second;
  s.map.Halves(c.tile, &first, &second);
#if __CUDA_ARCH__ >= 900
  const unsigned char* map = RowMapOf(x, c);
  ExpectBytes(barrier, kChunkBytes);
  CopyBox(slot, map, first, c.block, barrier, x.policy);
  CopyBox(slot + kChunkBytes / 2, map, second, c.block, barrier, x.policy);
#else
  const uint8_t* source = c.op == kHeadOp ? x.p.head : x.table[c.layer].data[MatrixOf(c.op)];
  const int piece = x.lane % 8;
#pragma unroll 4
  for (int i = 0; i < 4 * kRowSteps; ++i) {
    const int row = (i & 1) * 4 + x.lane / 8;
    const int step = i / 2 % kRowSteps;
    const int logical = (i < 2 * kRowSteps ? first : second) + row;
    const int64_t column = (int64_t{c.block} + step) * (kRowStepCols * 2) + piece * 16;
    const uint32_t valid = column < s.row_bytes && logical < s.map.rows ? 16 : 0;
    const uint32_t target = slot + (i / (2 * kRowSteps) * kRowSteps + step) * 1024 + row * 128 + piece * 16;
    CopySixteen(Swizzled(target), source + (valid ? logical * s.row_bytes + column : 0), valid, x.policy);
  }
  CommitSixteens(barrier, x.lane);
#endif
}

// Keys, then values, of consecutive positions of one head.
__device__ __forceinline__ void CopyCache(const Context& x, const Cursor& c, uint32_t slot, uint32_t barrier) {
  const TokenParams& p = x.p;
  const LayerTable& layer = x.table[c.layer];
  const int row_bytes = p.head_dim * 2;
  const int bytes = min(x.unit_positions, c.past_end - c.from) * row_bytes;
  const int64_t at = (int64_t{c.task / p.tasks_per_head} * p.capacity + c.from) * row_bytes;
  const uint32_t values = slot + x.unit_positions * row_bytes;
  ExpectBytes(barrier, 2 * bytes);
  CopyRun(slot, reinterpret_cast<const uint8_t*>(layer.keys) + at, bytes, barrier, x.lane, x.policy);
  CopyRun(values, reinterpret_cast<const uint8_t*>(layer.values) + at, bytes, barrier, x.lane, x.policy);
  CommitRuns(barrier, x.lane);
}

// Where a chunk of a quantized cache lies in its slot: codes of keys, of values, then their scales. Bulk copies of
// scales start at a multiple of four positions, so up to three may stand before the first that is meant.
struct QuantizedChunk {
  uint32_t keys, values, key_scales, value_scales;

  __device__ __forceinline__ QuantizedChunk(uint32_t slot, int positions, int row_bytes) {
    keys = slot;
    values = keys + positions * row_bytes;
    key_scales = values + positions * row_bytes;
    value_scales = key_scales + ScaleBytes(positions);
  }

  static __device__ __forceinline__ int ScaleBytes(int positions) {
    return (positions + 2 * kKvScaleRows) * kKvScaleBytes;
  }

  // Positions that fit a slot, a multiple of four.
  static __device__ __forceinline__ int Positions(int slot_bytes, int row_bytes) {
    return (slot_bytes - 2 * ScaleBytes(0)) / (2 * (row_bytes + kKvScaleBytes)) / kKvScaleRows * kKvScaleRows;
  }
};

template <int kBits>
__device__ __forceinline__ void CopyQuantizedCache(const Context& x, const Cursor& c, uint32_t slot, uint32_t barrier) {
  const TokenParams& p = x.p;
  const LayerTable& layer = x.table[c.layer];
  const int row_bytes = KvRowBytes(kBits, p.head_dim);
  const int head = c.task / p.tasks_per_head;
  const int count = min(x.unit_positions, c.past_end - c.from);
  const int first = c.from / kKvScaleRows * kKvScaleRows;
  const int end = static_cast<int>(KvScaleRowsOf(c.from + count));
  const QuantizedChunk to(slot, x.unit_positions, row_bytes);
  const int64_t codes = (int64_t{head} * p.capacity + c.from) * row_bytes;
  const int64_t scales = KvScalesOffset(kBits, p.kv_heads, p.head_dim, p.capacity) +
                         (head * KvScaleRowsOf(p.capacity) + first) * kKvScaleBytes;
  const auto* keys = reinterpret_cast<const uint8_t*>(layer.keys);
  const auto* values = reinterpret_cast<const uint8_t*>(layer.values);
  const int scale_bytes = (end - first) * kKvScaleBytes;
  ExpectBytes(barrier, 2 * (count * row_bytes + scale_bytes));
  CopyRun(to.keys, keys + codes, count * row_bytes, barrier, x.lane, x.policy);
  CopyRun(to.key_scales, keys + scales, scale_bytes, barrier, x.lane, x.policy);
  CopyRun(to.values, values + codes, count * row_bytes, barrier, x.lane, x.policy);
  CopyRun(to.value_scales, values + scales, scale_bytes, barrier, x.lane, x.policy);
  CommitRuns(barrier, x.lane);
}

// The run of blocks of codes at the cursor.
template <class W>
struct CodeRun {
  const uint8_t* source;
  int bytes;

  __device__ __forceinline__ CodeRun(const Context& x, const Cursor& c) {
    const int blocks = x.p.op[MatrixOf(c.op)].blocks;
    source = x.table[c.layer].data[MatrixOf(c.op)] + (int64_t{c.tile} * blocks + c.block) * W::kBlockBytes;
    bytes = ChunkBlocks<W>(blocks - c.block) * W::kBlockBytes;
  }
};

// Starts the copy at the cursor. On sm_90 by one lane, on sm_80 by the whole warp.
template <class W>
__device__ __forceinline__ void CopyChunk(const Context& x, const Cursor& c, uint32_t slot, uint32_t barrier) {
  if (c.op == kAttendOp) {
    if constexpr (kKvBits<W> == 16) {
      CopyCache(x, c, slot, barrier);
    } else {
      CopyQuantizedCache<kKvBits<W>>(x, c, slot, barrier);
    }
  } else if (W::kRows || c.op == kHeadOp) {
    CopyRows(x, c, slot, barrier);
  } else {
    const CodeRun<W> run(x, c);
    ExpectBytes(barrier, run.bytes);
    CopyRun(slot, run.source, run.bytes, barrier, x.lane, x.policy);
    CommitRuns(barrier, x.lane);
  }
}

// The same into L2, of weights; the cache's few bytes are not worth it.
template <class W>
__device__ __forceinline__ void PrefetchChunk(const Context& x, const Cursor& c) {
#if __CUDA_ARCH__ >= 900
  if (c.op == kAttendOp) return;
  if (W::kRows || c.op == kHeadOp) {
    int first;
    int second;
    x.p.op[MatrixOf(c.op)].map.Halves(c.tile, &first, &second);
    const unsigned char* map = RowMapOf(x, c);
    PrefetchBox(map, first, c.block, x.policy);
    PrefetchBox(map, second, c.block, x.policy);
  } else {
    const CodeRun<W> run(x, c);
    PrefetchRun(run.source, run.bytes, x.policy);
  }
#endif
}

template <class W>
__device__ __forceinline__ void Advance(const Context& x, Cursor& c) {
  if (c.op == kAttendOp) {
    c.from += x.unit_positions;
    if (c.from >= c.past_end) NextOp(x, c);
    return;
  }
  const OpShape& s = x.p.op[MatrixOf(c.op)];
  c.block += W::kRows || c.op == kHeadOp ? kRowSteps : ChunkBlocks<W>(s.blocks - c.block);
  if (c.block < s.blocks) return;
  c.block = 0;
  c.tile += x.p.grid;
  if (c.tile >= s.tiles) NextOp(x, c);
}

// Copies under way. Only so many at once: what blocks tell one another waits behind them, and more do not make memory
// any faster.
struct Flight {
  int oldest = 0;  // slot
  uint32_t parity = 0;
  int count = 0;

  __device__ __forceinline__ void Await(const Context& x, int most) {
    while (count > most) {
      BarrierWait(x.full + oldest * 8, parity);
      --count;
      if (++oldest == x.p.slots) {
        oldest = 0;
        parity ^= 1;
      }
    }
  }

  // Counts off what has come; true if that is all.
  __device__ __forceinline__ bool Landed(const Context& x) {
    while (count > 0 && BarrierPeek(x.full + oldest * 8, parity)) Await(x, count - 1);
    return count == 0;
  }
};

// The copying warp: keeps the ring full until the stream ends.
template <class W>
__device__ __forceinline__ void Produce(const Context& x) {
#if __CUDA_ARCH__ >= 900
  if (x.lane != 0) return;
#endif
  Cursor c;
  if (!Open(x, c)) NextOp(x, c);
  Flight flight;
  bool prefetched = false;  // the next chunk
  int at = 0;
  uint32_t parity = 1;  // of a new barrier's phase before the first
  while (c.op != kEndOp) {
    while (!BarrierPeek(x.empty + at * 8, parity)) {
      // The ring is full. Once all of it has come, memory would have nothing to do.
      if (prefetched || !flight.Landed(x)) continue;
      PrefetchChunk<W>(x, c);
      prefetched = true;
    }
    flight.Await(x, (c.op == kHeadOp ? Fp16Steps::kInFlight : W::kInFlight) - 1);
    CopyChunk<W>(x, c, x.slots + at * x.p.slot_bytes, x.full + at * 8);
    ++flight.count;
    Advance<W>(x, c);
    prefetched = false;
    if (++at == x.p.slots) {
      at = 0;
      parity ^= 1;
    }
  }
}

// The reading end of the ring. Every computing warp takes and releases every chunk.
struct Ring {
  int at = 0;
  uint32_t parity = 0;

  // Waits for the next chunk and returns its address.
  __device__ __forceinline__ uint32_t Take(const Context& x) const {
    BarrierWait(x.full + at * 8, parity);
    return x.slots + at * x.p.slot_bytes;
  }

  // The warp has read its part of the chunk.
  __device__ __forceinline__ void Release(const Context& x) {
    __syncwarp();
    if (x.lane == 0) BarrierArrive(x.empty + at * 8);
    if (++at == x.p.slots) {
      at = 0;
      parity ^= 1;
    }
  }
};

}  // namespace uaqf::cuda
