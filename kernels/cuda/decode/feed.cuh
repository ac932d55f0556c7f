// The stream of a warp: every weight and cache byte that it will need in this token, in order, whatever waits for what.
// Each warp has a ring of slots of its own and refills a slot as soon as it has used it, so that memory stays busy
// while blocks wait for one another: weights and past keys depend on nothing in this token.
#pragma once

#include "kernels/cuda/decode/codes.cuh"

namespace uaqf::cuda {

enum Op { kQkvOp, kAttendOp, kOutOp, kGateUpOp, kDownOp, kHeadOp, kEndOp };

__device__ __forceinline__ int MatrixOf(int op) { return op == kQkvOp ? kQkvMatrix : op - 1; }

// Constant for the life of a block.
struct Context {
  const TokenParams& p;
  const LayerTable* table;  // in shared memory
  unsigned char* act;       // staged vector, or the states of attention
  uint32_t* part;           // [kMaxTiles][kSlices][16] sums of warps
  float* rope;              // cos, then sin, of this position
  float* scratch;           // [64] reductions
  uint32_t ring;            // first slot of this warp
  uint32_t barriers;        // and its barrier
  uint64_t policy;
  int cta, warp, lane;
  int position, token;
  int first_unit, unit_end;  // attention units that hold past positions of the window
  int unit_positions;
};

// A place in a warp's stream.
struct Cursor {
  int op = kQkvOp;
  int layer = 0;
  int base = 0;  // block that takes the first item of the op: rotates, so that the odd tiles even out over ops
  int tile = 0;
  int block = 0, begin = 0, end = 0;
  int task = 0, split = 0, unit = 0;
  bool values = false;
  const uint8_t* source = nullptr;
};

__device__ __forceinline__ int TakeTurn(int& base, int items, int grid, int cta) {
  int mine = cta - base;
  if (mine < 0) mine += grid;
  base += items;
  if (base >= grid) base -= grid;
  return mine;
}

// Enters c.op of c.layer; false if this warp has nothing to stream in it. c.tile is then still where its team would
// start.
template <class W>
__device__ __forceinline__ bool Open(const Context& x, Cursor& c) {
  const TokenParams& p = x.p;
  if (c.op == kAttendOp) {
    const int mine = TakeTurn(c.base, p.attend_blocks, p.grid, x.cta);
    c.task = mine / p.splits;
    c.split = mine - c.task * p.splits;
    c.unit = mine < p.attend_blocks ? x.first_unit + c.split * kWarps + x.warp : x.unit_end;
    c.values = false;
    return c.unit < x.unit_end;
  }
  const OpShape& s = p.op[MatrixOf(c.op)];
  const int slice = x.warp % kSlices;
  c.tile = TakeTurn(c.base, s.tiles_mod, p.grid, x.cta) + x.warp / kSlices * p.grid;
  c.begin = s.blocks * slice / kSlices;
  c.end = s.blocks * (slice + 1) / kSlices;
  c.block = c.begin;
  c.source = c.op == kHeadOp ? p.head : x.table[c.layer].data[MatrixOf(c.op)];
  return c.tile < s.tiles && c.begin < c.end;
}

template <class W>
__device__ __forceinline__ void NextOp(const Context& x, Cursor& c) {
  for (;;) {
    if (c.op == kDownOp && c.layer + 1 < x.p.layers) {
      c.op = kQkvOp;
      ++c.layer;
    } else {
      ++c.op;
    }
    if (c.op == kEndOp || Open<W>(x, c)) return;
  }
}

template <class W>
__device__ __forceinline__ void Begin(const Context& x, Cursor& c) {
  if (!Open<W>(x, c)) NextOp<W>(x, c);
}

// 16 rows of kRowChunkCols columns of a row-major matrix.
__device__ __forceinline__ void CopyRows(const Context& x, const Cursor& c, const OpShape& s, uint32_t slot,
                                         uint32_t barrier) {
  constexpr int kPieces = kRowChunkCols / 8;
  constexpr int kRowsAtOnce = 32 / kPieces;
  int first;
  int second;
  s.map.Halves(c.tile, &first, &second);
  const int piece = x.lane % kPieces;
  const int column = c.block * kRowChunkCols * 2 + piece * 16;
  const uint32_t valid = column < s.row_bytes ? 16 : 0;
  const uint8_t* source = c.source + (valid ? column : 0);
#pragma unroll
  for (int i = 0; i < 16 / kRowsAtOnce; ++i) {
    const int row = x.lane / kPieces + i * kRowsAtOnce;
    const int wanted = (i * kRowsAtOnce < 8 ? first : second - 8) + row;
    // Rows past the end are read from the last one, and their products dropped.
    const int logical = wanted < s.map.rows ? wanted : s.map.rows - 1;
    CopySixteen(slot + Fp16Rows::Place(row, piece), source + logical * s.row_bytes, valid, x.policy);
  }
  CommitSixteens(barrier, x.lane);
}

// Keys or values of a unit of consecutive positions of one head.
template <class W>
__device__ __forceinline__ void CopyCache(const Context& x, const Cursor& c, uint32_t slot, uint32_t barrier) {
  const TokenParams& p = x.p;
  const LayerTable& layer = x.table[c.layer];
  const int from = c.unit * x.unit_positions;
  const int count = min(x.unit_positions, p.capacity - from);
  const int64_t head = c.task / p.tasks_per_head;
  const __half* source = (c.values ? layer.values : layer.keys) + (head * p.capacity + from) * p.head_dim;
  if constexpr (W::kRows) FenceForCopies();  // the slot was last written by ordinary copies
  CopyRun(slot, reinterpret_cast<const uint8_t*>(source), count * p.head_dim * 2, barrier, x.lane, x.policy);
}

// Starts the copy at the cursor into a slot, and moves the cursor on. Whole warp.
template <class W>
__device__ __forceinline__ void Feed(const Context& x, Cursor& c, uint32_t slot, uint32_t barrier) {
  if (c.op == kEndOp) return;
  if (c.op == kAttendOp) {
    CopyCache<W>(x, c, slot, barrier);
    c.values = !c.values;
    if (c.values) return;
    c.unit += x.p.splits * kWarps;
    if (c.unit >= x.unit_end) NextOp<W>(x, c);
    return;
  }
  const OpShape& s = x.p.op[MatrixOf(c.op)];
  if (W::kRows || c.op == kHeadOp) {
    CopyRows(x, c, s, slot, barrier);
    ++c.block;
  } else {
    const int count = min(W::kBlocksPerChunk, c.end - c.block);
    const uint8_t* source = c.source + (int64_t{c.tile} * s.blocks + c.block) * W::kBlockBytes;
    CopyRun(slot, source, count * W::kBlockBytes, barrier, x.lane, x.policy);
    c.block += count;
  }
  if (c.block < c.end) return;
  c.block = c.begin;
  c.tile += x.p.grid * kGroups;
  if (c.tile >= s.tiles) NextOp<W>(x, c);
}

// The reading end of a warp's ring, with the cursor that keeps it full.
struct Ring {
  Cursor feed;
  int at = 0;
  uint32_t parity = 0;

  template <class W>
  __device__ __forceinline__ void Fill(const Context& x) {
    Begin<W>(x, feed);
#pragma unroll 1
    for (int i = 0; i < x.p.slots; ++i) Feed<W>(x, feed, x.ring + i * x.p.slot_bytes, x.barriers + i * 8);
  }

  // Waits for the next slot and returns its address.
  __device__ __forceinline__ uint32_t Take(const Context& x) {
    BarrierWait(x.barriers + at * 8, parity);
    return x.ring + at * x.p.slot_bytes;
  }

  // The slot after the one taken, before that is released.
  __device__ __forceinline__ uint32_t TakeNext(const Context& x) const {
    const bool wraps = at + 1 == x.p.slots;
    const int next = wraps ? 0 : at + 1;
    BarrierWait(x.barriers + next * 8, parity ^ static_cast<uint32_t>(wraps));
    return x.ring + next * x.p.slot_bytes;
  }

  // The warp has read the slot just taken: refills it.
  template <class W>
  __device__ __forceinline__ void Release(const Context& x) {
    __syncwarp();
    Feed<W>(x, feed, x.ring + at * x.p.slot_bytes, x.barriers + at * 8);
    if (++at == x.p.slots) {
      at = 0;
      parity ^= 1;
    }
  }
};

}  // namespace uaqf::cuda
