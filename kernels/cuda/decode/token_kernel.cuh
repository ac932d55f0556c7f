// One decode step in one kernel: a block on every multiprocessor. Blocks tell one another values through L2 (see
// StoreMarked); feed.cuh says why memory does not wait while they wait for one another.
//
// No buffer is written again before all its readers have read: a block reads a vector only for an op of which it has a
// tile, the next op needs the values of all tiles, and so on around to the next layer's writer of that buffer.
#pragma once

#include "kernels/cuda/decode/attend.cuh"
#include "kernels/cuda/decode/emit.cuh"
#include "kernels/cuda/decode/launchers.h"

namespace uaqf::cuda {

// One tile: this warp's part of every chunk, into its place among the sums.
template <class W>
__device__ __forceinline__ void MultiplyTile(const Context& x, Ring& ring, int blocks, int local,
                                             const Activations& vector) {
  typename W::Sums sums;
#pragma unroll 1
  for (int block = 0; block < blocks;) {
    const uint32_t slot = ring.Take(x);
    const int count = ChunkBlocks<W>(blocks - block);
    AccumulateShare<W>(slot, count, block, x.warp, local, vector, x.lane, sums);
    ring.Release(x);
    block += count;
  }
  sums.Finish();
  if ((x.lane & 3) != 0) return;
  auto* part = reinterpret_cast<typename W::Sums::Word*>(x.part);
  const int row = W::RowOf(x.lane >> 2);
  part[PartAt(local, x.warp, row)] = sums.low;
  part[PartAt(local, x.warp, row + 8)] = sums.high;
}

// A matrix product: all tiles of this block. The vector has been staged.
template <class W>
__device__ __forceinline__ void Multiply(const Context& x, Ring& ring, const Cursor& c, RowPair pair, float scale,
                                         unsigned long long& best) {
  const OpShape& s = x.p.op[MatrixOf(c.op)];
  const Activations vector(x.p, s, SharedAddress(x.act), x.lane, W::kPlanes);
  for (int first = c.tile; first < s.tiles; first += kMaxTiles * x.p.grid) {
    if (first != c.tile) {
      ComputeSync();  // the sums of the tiles before have been read
      pair = FindPair<kPlaced<W>>(x, c, first);
      Residual residual;
      residual.Ask(x, c, pair);
      residual.Take(pair);
    }
    int local = 0;
#pragma unroll 1
    for (int tile = first; tile < s.tiles && local < kMaxTiles; tile += x.p.grid) {
      MultiplyTile<W>(x, ring, s.blocks, local++, vector);
    }
    ComputeSync();
    Emit<W>(x, c, pair, scale, best);
  }
}

// What the op at `c` multiplies.
template <class W>
__device__ __forceinline__ Input InputOf(const Context& x, const Cursor& c) {
  const TokenParams& p = x.p;
  const OpShape& s = p.op[MatrixOf(c.op)];
  const LayerTable& layer = x.table[c.layer];
  const int padded = W::kRoundGroup > 0 ? (s.inputs + W::kStepCols - 1) / W::kStepCols : s.blocks;
  Input in = {p.residual, nullptr, MarkOf(x, c.layer), s.inputs, padded * W::kStepCols, s.int8_from, 0};
  if constexpr (W::kInt8Vector) in.fixed_scale = layer.input_scales[MatrixOf(c.op)];
  if (c.op == kQkvOp) {
    in.norm = layer.norms[0];
    in.mark ^= 1;  // of the layer before
    if (c.layer == 0) {
      in.source = p.embedded;
      in.mark = x.token_mark;
    }
  } else if (c.op == kOutOp) {
    in.source = p.attended;
  } else if (c.op == kGateUpOp) {
    in.source = p.middle;
    in.norm = layer.norms[1];
  } else if (c.op == kDownOp) {
    in.source = p.gated;
  } else {
    in.norm = p.final_norm;
  }
  return in;
}

// Moves the reading cursor to an op and stages its input, once most blocks have published theirs. Returns the factor of
// the products. Does nothing more if the block has no tile of the op.
template <class W>
__device__ __forceinline__ float Enter(const Context& x, Cursor& c, int layer, int op, uint32_t target, bool wait,
                                       RowPair& pair) {
  c.layer = layer;
  c.op = op;
  Trace(x, c, 0);
  if (!Open(x, c)) {
    // Marks repeat every other layer. Where a block may have no tile of a whole layer, it must not run so far ahead.
    if (op == kDownOp && x.p.op[kGateUpMatrix].tiles < x.p.grid) AwaitArrivals(x, target, 0);
    return 1;
  }
  const Input in = InputOf<W>(x, c);
  pair = FindPair<kPlaced<W>>(x, c, c.tile);
  // Only then is asking for values worth the traffic; whether a value has come, its mark tells.
  if (wait) AwaitArrivals(x, target, x.p.early);
  Trace(x, c, 1);
  Residual residual;
  residual.Ask(x, c, pair);
  const float scale = StageInput<W>(x, in);
  residual.Take(pair);
  Trace(x, c, 2);
  return scale;
}

// The layers. `target`: the arrivals when all blocks have published what the next op reads.
template <class W>
__device__ __forceinline__ void RunLayers(const Context& x, Ring& ring, Cursor& c, uint32_t& target) {
  const TokenParams& p = x.p;
  unsigned long long none = 0;
#pragma unroll 1
  for (int layer = 0; layer < p.layers; ++layer) {
#pragma unroll 1
    for (int op = kQkvOp; op <= kDownOp; ++op) {
      if (op == kAttendOp) {
        // Asks for its few inputs one by one.
        c.op = op;
        Trace(x, c, 0);
        Trace(x, c, 1);
        Open(x, c);
        Attend<kKvBits<W>, kPlaced<W>>(x, ring, c);
        Trace(x, c, 2);
      } else {
        RowPair pair;
        const float scale = Enter<W>(x, c, layer, op, target, layer > 0 || op != kQkvOp, pair);
        Multiply<W>(x, ring, c, pair, scale, none);
      }
      Trace(x, c, 3);
      ComputeSync();
      if (op == kQkvOp) continue;
      if (threadIdx.x == 0) AddRelaxed(&p.state->arrivals);
      target += p.grid;
    }
  }
}

// The largest of a warp, in all its lanes.
__device__ __forceinline__ unsigned long long BestOfWarp(unsigned long long best) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const unsigned long long other = __shfl_xor_sync(~0u, best, step);
    best = other > best ? other : best;
  }
  return best;
}

// The last block to finish turns the best of all blocks into the next token.
__device__ __forceinline__ void Finish(const Context& x, unsigned long long best, uint32_t arrivals) {
  const TokenParams& p = x.p;
  best = BestOfWarp(best);
  auto* scratch = reinterpret_cast<unsigned long long*>(x.scratch);
  ComputeSync();
  if (x.lane == 0) scratch[x.warp] = best;
  ComputeSync();
  if (threadIdx.x == 0) {
    for (int w = 1; w < kWarps; ++w) best = scratch[w] > best ? scratch[w] : best;
    p.best[x.cta] = best;
  }
  if (!LastToArrive(&p.state->head_done, p.grid, reinterpret_cast<uint32_t*>(x.scratch) + 60)) return;
  if (x.warp != 0) return;
  best = 0;
  for (int i = x.lane; i < p.grid; i += 32) {
    const unsigned long long other = __ldcg(p.best + i);
    best = other > best ? other : best;
  }
  best = BestOfWarp(best);
  if (x.lane != 0) return;
  const int next = best == 0 ? 0 : static_cast<int>(~static_cast<uint32_t>(best));
  p.state->token = next;
  p.state->position = x.position + 1;
  p.state->epoch = arrivals;
  ++p.state->steps;
  p.history[x.position + 1] = next;
  if (p.published != nullptr) p.published[x.position + 1] = next;
}

// Positions of a chunk of keys and values.
template <class W>
__device__ __forceinline__ int UnitPositions(const TokenParams& p, const LaneSplit& split) {
  if constexpr (kKvBits<W> == 16) {
    return split.positions * kScores * kWarps;
  } else {
    return QuantizedChunk::Positions(p.slot_bytes, KvRowBytes(kKvBits<W>, p.head_dim));
  }
}

// Lays out shared memory and fills what all warps share.
template <class W>
__device__ __forceinline__ Context Prepare(const TokenParams& p, unsigned char* shared) {
  unsigned char* at = shared + p.slots * p.slot_bytes;
  unsigned char* act = at;
  at += p.act_bytes;
  auto* part = reinterpret_cast<uint32_t*>(at);
  at += kPartBytes;
  auto* table = reinterpret_cast<LayerTable*>(at);
  at += TableBytes(p.layers);
  auto* scratch = reinterpret_cast<float*>(at);
  at += 64 * 4;
  auto* rope = reinterpret_cast<float*>(at);
  at += RopeBytes(kKvBits<W>, p.head_dim);
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const LaneSplit split(p.head_dim, lane);
  Context x{p, table, act, part, rope, scratch};
  x.slots = SharedAddress(shared);
  x.full = SharedAddress(at);
  x.empty = x.full + p.slots * 8;
  x.policy = EvictFirstPolicy();
  x.cta = blockIdx.x;
  x.warp = warp;
  x.lane = lane;
  x.position = p.state->position;
  x.token = p.state->token;
  x.first_mark = p.state->steps * p.layers + 1;
  x.token_mark = (p.state->steps + 1) & 1;
  x.unit_positions = UnitPositions<W>(p, split);
  x.past_begin = p.window > 0 && x.position >= p.window ? x.position - p.window + 1 : 0;
  x.split_positions = (x.position - x.past_begin + p.splits - 1) / p.splits;
  for (int i = threadIdx.x; i < TableBytes(p.layers) / 16; i += kDecodeThreads) {
    reinterpret_cast<uint4*>(table)[i] = reinterpret_cast<const uint4*>(p.table)[i];
  }
  return x;
}

// Fills x.rope: the angles of the position, or those by which a query turns over a quantized cache.
template <int kBits>
__device__ __forceinline__ void LoadAngles(const Context& x) {
  const TokenParams& p = x.p;
  const int half = p.head_dim / 2;
  const int step = LaneSplit(p.head_dim, x.lane).step();
  const int passed = (x.unit_positions + step * kScores - 1) / (step * kScores) * step * kScores;
  for (int i = threadIdx.x; i < RopeBytes(kBits, p.head_dim) / 4; i += kDecodeThreads) {
    const int distance = kBits == 16 ? x.position : i < p.head_dim ? step : passed - x.unit_positions;
    const float* table = i / half % 2 == 0 ? p.rope_cos : p.rope_sin;
    // A distance beyond the table is never turned by.
    const float angle = distance < p.capacity ? table[int64_t{distance} * half + i % half] : 0;
    x.rope[i] = kBits != 16 && i >= half && i < p.head_dim ? -angle : angle;
  }
}

// Publishes this block's part of the token's row of the embedding.
template <class W>
__device__ __forceinline__ void Embed(const Context& x) {
  const TokenParams& p = x.p;
  const auto* row = reinterpret_cast<const __half*>(p.embedding + x.token * p.embedding_row_bytes);
  for (int i = x.cta * kComputeThreads + threadIdx.x; i < p.hidden; i += p.grid * kComputeThreads) {
    const int at = kPlaced<W> ? PlaceOf(x.table[0].place[kQkvMatrix], i) : i;
    StoreMarked(p.embedded + at, __half2float(row[i]), x.token_mark);
  }
}

// The computing warps.
template <class W>
__device__ __forceinline__ void Consume(const Context& x) {
  const TokenParams& p = x.p;
  Embed<W>(x);
  uint32_t target = p.state->epoch;
  Ring ring;
  Cursor c;
  RunLayers<W>(x, ring, c, target);

  unsigned long long best = 0;
  RowPair pair;
  Enter<Fp16Steps>(x, c, p.layers - 1, kHeadOp, target, true, pair);
  Multiply<Fp16Steps>(x, ring, c, pair, 1.0f, best);
  Trace(x, c, 3);
  Finish(x, best, target);
}

template <class W>
__global__ void __launch_bounds__(kDecodeThreads, 1) TokenKernel(const __grid_constant__ TokenParams p) {
  extern __shared__ __align__(128) unsigned char shared[];
  const Context x = Prepare<W>(p, shared);
  if (x.position < 0 || x.position >= p.capacity || x.token < 0 || x.token >= p.vocab) {
    if (x.cta == 0 && threadIdx.x == 0) p.state->refused = 1;
    return;
  }
  LoadAngles<kKvBits<W>>(x);
  if (threadIdx.x == 0) {
    for (int i = 0; i < p.slots; ++i) {
      BarrierInit(x.full + i * 8, 1);
      BarrierInit(x.empty + i * 8, kWarps);
    }
    FenceForCopies();
  }
  __syncthreads();
  if (x.warp == kWarps) {
    Produce<W>(x);
  } else {
    Consume<W>(x);
  }
}

template <class W>
TokenLauncher MakeLauncher() {
  return {reinterpret_cast<const void*>(&TokenKernel<W>), W::kRows ? kChunkBytes : W::kBlockBytes * W::kMostBlocks,
          W::kStepCols, W::kPlanes};
}

// Over a quantized cache of 8 or 4 bits.
template <class W>
TokenLauncher MakeKvLauncher(int kv_bits) {
  return kv_bits == 8 ? MakeLauncher<WithKv<W, 8>>() : MakeLauncher<WithKv<W, 4>>();
}

}  // namespace uaqf::cuda
