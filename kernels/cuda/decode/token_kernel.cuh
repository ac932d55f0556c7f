// One decode step in one kernel: a block on every multiprocessor, five grid barriers a layer. See feed.cuh for why
// memory does not wait at them.
#pragma once

#include "kernels/cuda/decode/attend.cuh"
#include "kernels/cuda/decode/emit.cuh"
#include "kernels/cuda/decode/launchers.h"

namespace uaqf::cuda {

// Bytes of shared memory after the ring and the staged vector.
__host__ __device__ inline int PartBytes() { return kMaxTiles * kSlices * kTileRows * 4; }
__host__ __device__ inline int TableBytes(int layers) { return layers * static_cast<int>(sizeof(LayerTable)); }
__host__ __device__ inline int SharedBytes(const TokenParams& p) {
  return p.slots * p.slot_bytes * kWarps + p.act_bytes + PartBytes() + TableBytes(p.layers) + 64 * 4 +
         (p.head_dim * 4 + 15) / 16 * 16 + p.slots * kWarps * 8;
}

// A matrix product: all tiles of this block. The vector has been staged.
template <class W>
__device__ __forceinline__ void Multiply(const Context& x, Ring& ring, Cursor& c, RowPair pair, float scale,
                                         unsigned long long& best, const auto& release) {
  const OpShape& s = x.p.op[MatrixOf(c.op)];
  const Activations vector = {
      SharedAddress(x.act) +
          (W::kInt8Vector ? (x.lane & 3) * 8 : (x.lane & 3) * 16 + (x.lane & 4 ? x.p.low_offset : 0)),
      SharedAddress(x.act) + x.p.sums_offset, x.lane < (W::kInt8Vector ? 4 : 8)};
  typename W::Vector b[4] = {};
  const int team = x.warp / kSlices;
  int first = c.tile - team * x.p.grid;  // of the block's tiles whose sums are in x.part
  int local = 0;                         // among them
#pragma unroll 1
  for (int tile = first; tile < s.tiles; tile += x.p.grid) {
    if (local % kGroups == team) {
      typename W::Sums sums;
#pragma unroll 1
      for (int block = c.begin; block < c.end; block += W::kBlocksPerChunk) {
        const uint32_t slot = ring.Take(x);
        AccumulateBlocks<W>(slot, c.end - block, block, vector, x.lane, b, sums);
        release();
      }
      if ((x.lane & 3) == 0) {
        auto* out = reinterpret_cast<typename W::Sums::Word*>(x.part) +
                    (local * kSlices + x.warp % kSlices) * kTileRows + (x.lane >> 2);
        out[0] = sums.low;
        out[8] = sums.high;
      }
    }
    if (++local < kMaxTiles && tile + x.p.grid < s.tiles) continue;
    __syncthreads();
    Emit<W>(x, c, pair, scale, best);
    first = tile + x.p.grid;
    if (first >= s.tiles) break;
    __syncthreads();
    local = 0;
    pair = FindPair(x, c, first);
    LoadResidual(x, c, pair);
  }
}

// Moves the reading cursor to an op and does what does not depend on other blocks; then waits for them.
template <class W>
__device__ __forceinline__ RowPair Enter(const Context& x, Cursor& c, int layer, int op, const float* norm,
                                         NormWeights& weights, uint32_t target, bool wait) {
  Trace(x, op == kHeadOp ? layer + 1 : layer, op == kHeadOp ? 0 : op, 0);
  c.layer = layer;
  c.op = op;
  Open<W>(x, c);
  RowPair pair = FindPair(x, c, c.tile - x.warp / kSlices * x.p.grid);
  if (norm != nullptr) weights.Load(norm, x.p.hidden);
  if (wait) GridWait(x, target);
  Trace(x, op == kHeadOp ? layer + 1 : layer, op == kHeadOp ? 0 : op, 1);
  LoadResidual(x, c, pair);
  return pair;
}

// The layers. `target`: the arrivals that the next wait wants.
template <class W>
__device__ __forceinline__ void RunLayers(const Context& x, Ring& ring, Cursor& c, uint32_t& target) {
  const TokenParams& p = x.p;
  unsigned long long none = 0;
  const auto release = [&] { ring.Release<W>(x); };
  NormWeights weights;
#pragma unroll 1
  for (int layer = 0; layer < p.layers; ++layer) {
#pragma unroll 1
    for (int op = kQkvOp; op <= kDownOp; ++op) {
      if (op == kAttendOp) {
        Trace(x, layer, op, 0);
        c.op = op;
        Open<W>(x, c);
        GridWait(x, target);
        Trace(x, layer, op, 1);
        Attend<W>(x, ring, c);
        Trace(x, layer, op, 2);
      } else {
        const bool normed = op == kQkvOp || op == kGateUpOp;
        const float* norm = normed ? x.table[layer].norms[op == kGateUpOp] : nullptr;
        const RowPair pair = Enter<W>(x, c, layer, op, norm, weights, target, layer > 0 || op != kQkvOp);
        const int padded = p.op[MatrixOf(op)].blocks * W::kStepCols;
        const float scale = normed ? StageNormed<W>(x, layer, op, weights, padded)
                                   : StagePlain<W>(x, op == kOutOp ? p.attended : p.gated, padded);
        __syncthreads();
        Trace(x, layer, op, 2);
        Multiply<W>(x, ring, c, pair, scale, none, release);
      }
      Trace(x, layer, op, 3);
      GridArrive(x);
      target += p.grid;
    }
  }
}

// The last block to finish turns the best of all blocks into the next token.
__device__ __forceinline__ void Finish(const Context& x, unsigned long long best, uint32_t arrivals) {
  const TokenParams& p = x.p;
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const unsigned long long other = __shfl_xor_sync(~0u, best, step);
    best = other > best ? other : best;
  }
  auto* scratch = reinterpret_cast<unsigned long long*>(x.scratch);
  __syncthreads();
  if (x.lane == 0) scratch[x.warp] = best;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < kWarps; ++w) best = scratch[w] > best ? scratch[w] : best;
    p.best[x.cta] = best;
  }
  if (!LastToArrive<true>(&p.state->head_done, p.grid, reinterpret_cast<uint32_t*>(x.scratch) + 60)) return;
  if (x.warp != 0) return;
  best = 0;
  for (int i = x.lane; i < p.grid; i += 32) {
    const unsigned long long other = __ldcg(p.best + i);
    best = other > best ? other : best;
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const unsigned long long other = __shfl_xor_sync(~0u, best, step);
    best = other > best ? other : best;
  }
  if (x.lane != 0) return;
  const int next = best == 0 ? 0 : static_cast<int>(~static_cast<uint32_t>(best));
  p.state->token = next;
  p.state->position = x.position + 1;
  p.state->epoch = arrivals;
  p.history[x.position + 1] = next;
}

// Lays out shared memory and fills what all warps share.
__device__ __forceinline__ Context Prepare(const TokenParams& p, unsigned char* shared) {
  unsigned char* at = shared + p.slots * p.slot_bytes * kWarps;
  unsigned char* act = at;
  at += p.act_bytes;
  auto* part = reinterpret_cast<uint32_t*>(at);
  at += PartBytes();
  auto* table = reinterpret_cast<LayerTable*>(at);
  at += TableBytes(p.layers);
  auto* scratch = reinterpret_cast<float*>(at);
  at += 64 * 4;
  auto* rope = reinterpret_cast<float*>(at);
  at += (p.head_dim * 4 + 15) / 16 * 16;
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const LaneSplit split(p.head_dim, lane);
  Context x{p, table, act, part, rope, scratch};
  x.ring = SharedAddress(shared) + warp * p.slots * p.slot_bytes;
  x.barriers = SharedAddress(at) + warp * p.slots * 8;
  x.policy = EvictFirstPolicy();
  x.cta = blockIdx.x;
  x.warp = warp;
  x.lane = lane;
  x.position = p.state->position;
  x.token = p.state->token;
  x.unit_positions = split.positions * kScores;
  x.first_unit = WindowStart(x) / x.unit_positions;
  x.unit_end = (x.position + x.unit_positions - 1) / x.unit_positions;
  for (int i = threadIdx.x; i < TableBytes(p.layers) / 16; i += kDecodeThreads) {
    reinterpret_cast<uint4*>(table)[i] = reinterpret_cast<const uint4*>(p.table)[i];
  }
  return x;
}

template <class W>
__global__ void __launch_bounds__(kDecodeThreads, 1) TokenKernel(const __grid_constant__ TokenParams p) {
  extern __shared__ __align__(128) unsigned char shared[];
  const Context x = Prepare(p, shared);
  if (x.position < 0 || x.position >= p.capacity || x.token < 0 || x.token >= p.vocab) {
    if (x.cta == 0 && threadIdx.x == 0) p.state->refused = 1;
    return;
  }
  for (int i = threadIdx.x; i < p.head_dim; i += kDecodeThreads) {
    const int half = p.head_dim / 2;
    x.rope[i] =
        i < half ? p.rope_cos[int64_t{x.position} * half + i] : p.rope_sin[int64_t{x.position} * half + i - half];
  }
  if (x.lane == 0) {
    for (int i = 0; i < p.slots; ++i) BarrierInit(x.barriers + i * 8);
    FenceForCopies();
  }
  __syncthreads();
  uint32_t target = p.state->epoch;
  Ring ring;
  ring.Fill<W>(x);
  Cursor c;
  RunLayers<W>(x, ring, c, target);

  NormWeights weights;
  unsigned long long best = 0;
  const RowPair pair = Enter<Fp16Rows>(x, c, p.layers - 1, kHeadOp, p.final_norm, weights, target, true);
  StageNormed<Fp16Rows>(x, p.layers, kHeadOp, weights, p.op[kHeadMatrix].blocks * kRowChunkCols);
  __syncthreads();
  Trace(x, p.layers, 0, 2);
  Multiply<Fp16Rows>(x, ring, c, pair, 1.0f, best, [&] { ring.Release<W>(x); });
  Trace(x, p.layers, 0, 3);
  Finish(x, best, target);
}

template <class W>
TokenLauncher MakeLauncher() {
  return {reinterpret_cast<const void*>(&TokenKernel<W>), W::kBlockBytes * W::kBlocksPerChunk, W::kStepCols};
}

}  // namespace uaqf::cuda
