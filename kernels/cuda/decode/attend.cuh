// Attention of one token over a part of the context. A block works for one KV head and up to four of its query heads;
// each warp walks units of consecutive positions that its stream brings, keys then values; lanes of a warp share out
// the dimensions of a position, 8 each, and as many positions at once as there are lanes left. States (maximum, sum,
// output) are merged lanes -> warps -> blocks, always in the same order.
#pragma once

#include "kernels/cuda/decode/sync.cuh"

namespace uaqf::cuda {

inline constexpr int kMaxQueries = 4;
// Positions that a lane scores in one unit.
inline constexpr int kScores = kChunkBytes / 512;
inline constexpr float kNothing = -1e30f;  // maximum of no scores

struct Unpacked {
  float v[8];
};

__device__ __forceinline__ Unpacked Unpack8(uint4 packed) {
  Unpacked out;
  const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&words[i]));
    out.v[2 * i] = pair.x;
    out.v[2 * i + 1] = pair.y;
  }
  return out;
}

// How lanes share out a unit.
struct LaneSplit {
  int lanes;      // of one position, a power of two
  int positions;  // at once
  int sub;        // which of them this lane works on
  int dim;        // first of its 8 dimensions
  bool on;        // dim < head_dim

  __device__ __forceinline__ LaneSplit(int head_dim, int lane) {
    lanes = head_dim > 128 ? 32 : head_dim > 64 ? 16 : head_dim > 32 ? 8 : 4;
    positions = 32 / lanes;
    sub = lane / lanes;
    dim = lane % lanes * 8;
    on = dim < head_dim;
  }
};

template <int kQueries>
struct AttendState {
  float query[kQueries][8];
  float maximum[kQueries];
  float sum[kQueries];
  float out[kQueries][8];

  __device__ __forceinline__ void Load(const Context& x, const LaneSplit& split, int first, int last) {
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
      const float* source = x.p.query + min(first + j, last) * x.p.head_dim + split.dim;
      maximum[j] = kNothing;
      sum[j] = 0;
      float4 halves[2] = {};
      if (split.on) {
        halves[0] = __ldcg(reinterpret_cast<const float4*>(source));
        halves[1] = __ldcg(reinterpret_cast<const float4*>(source) + 1);
      }
      const float values[8] = {halves[0].x, halves[0].y, halves[0].z, halves[0].w,
                               halves[1].x, halves[1].y, halves[1].z, halves[1].w};
#pragma unroll
      for (int d = 0; d < 8; ++d) {
        query[j][d] = values[d] * x.p.query_scale;
        out[j][d] = 0;
      }
    }
  }

  // Scores of one position, in all its lanes.
  __device__ __forceinline__ void Score(const LaneSplit& split, const Unpacked& key, float (&score)[kQueries]) const {
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
      float dot = 0;
#pragma unroll
      for (int d = 0; d < 8; ++d) dot = fmaf(query[j][d], key.v[d], dot);
#pragma unroll
      for (int step = 16; step > 0; step /= 2) {
        if (step < split.lanes) dot += __shfl_xor_sync(~0u, dot, step);
      }
      score[j] = dot;
    }
  }

  // Raises the maximum of query j, and scales what has been summed.
  __device__ __forceinline__ void Raise(int j, float to) {
    const float raised = fmaxf(maximum[j], to);
    const float factor = exp2f(maximum[j] - raised);
    maximum[j] = raised;
    sum[j] *= factor;
#pragma unroll
    for (int d = 0; d < 8; ++d) out[j][d] *= factor;
  }

  __device__ __forceinline__ void Add(int j, float weight, const Unpacked& value) {
    sum[j] += weight;
#pragma unroll
    for (int d = 0; d < 8; ++d) out[j][d] = fmaf(weight, value.v[d], out[j][d]);
  }

  // Takes in the states of the other positions of the warp.
  __device__ __forceinline__ void MergeLanes(const LaneSplit& split) {
#pragma unroll
    for (int step = 16; step > 1; step /= 2) {
      if (step < split.lanes) continue;
#pragma unroll
      for (int j = 0; j < kQueries; ++j) {
        Raise(j, __shfl_xor_sync(~0u, maximum[j], step));
        sum[j] += __shfl_xor_sync(~0u, sum[j], step);
#pragma unroll
        for (int d = 0; d < 8; ++d) out[j][d] += __shfl_xor_sync(~0u, out[j][d], step);
      }
    }
  }
};

__device__ __forceinline__ int WindowStart(const Context& x) {
  return x.p.window > 0 && x.position >= x.p.window ? x.position - x.p.window + 1 : 0;
}

// kRows positions of a unit, of which the lane's first is at `position`, from keys and values in shared memory.
template <int kQueries, int kRows>
__device__ __forceinline__ void AttendRows(const Context& x, const LaneSplit& split, int position, uint32_t keys,
                                           uint32_t values, AttendState<kQueries>& state) {
  float weight[kRows][kQueries];
  const int start = WindowStart(x);
  const uint32_t stride = split.positions * x.p.head_dim * 2;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const uint4 packed = split.on ? LoadShared16(keys + i * stride) : uint4{};
    state.Score(split, Unpack8(packed), weight[i]);
  }
#pragma unroll
  for (int j = 0; j < kQueries; ++j) {
    float maximum = kNothing;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int at = position + i * split.positions;
      if (at < start || at >= x.position) weight[i][j] = kNothing;
      maximum = fmaxf(maximum, weight[i][j]);
    }
    state.Raise(j, maximum);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      weight[i][j] = weight[i][j] == kNothing ? 0 : exp2f(weight[i][j] - state.maximum[j]);
    }
  }
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const int at = position + i * split.positions;
    // What lies outside the sequence may be anything, NaN too.
    const bool inside = split.on && at >= start && at < x.position;
    const Unpacked value = Unpack8(inside ? LoadShared16(values + i * stride) : uint4{});
#pragma unroll
    for (int j = 0; j < kQueries; ++j) state.Add(j, weight[i][j], value);
  }
}

// One unit: two slots of the ring, keys and values. With many queries in halves, for want of registers.
template <class W, int kQueries>
__device__ __forceinline__ void AttendUnit(const Context& x, Ring& ring, const LaneSplit& split, int unit,
                                           AttendState<kQueries>& state) {
  constexpr int kParts = kQueries > 2 ? kScores / 4 : 1;
  constexpr int kRows = kScores / kParts;
  const uint32_t mine = (split.sub * x.p.head_dim + split.dim) * 2;
  const uint32_t keys = ring.Take(x) + mine;
  const uint32_t values = ring.TakeNext(x) + mine;
  const int position = unit * x.unit_positions + split.sub;
#pragma unroll 1
  for (int part = 0; part < kParts; ++part) {
    const int at = part * kRows * split.positions;
    AttendRows<kQueries, kRows>(x, split, position + at, keys + at * x.p.head_dim * 2, values + at * x.p.head_dim * 2,
                                state);
  }
  ring.Release<W>(x);
  ring.Release<W>(x);
}

// Key and value of the token's own position, which the stream cannot have brought: loaded first, used last.
struct OwnPosition {
  Unpacked key = {};
  Unpacked value = {};

  __device__ __forceinline__ void Load(const Context& x, const Cursor& c, const LaneSplit& split) {
    if (!split.on) return;
    const float* source = x.p.own + c.task / x.p.tasks_per_head * x.p.head_dim + split.dim;
#pragma unroll
    for (int d = 0; d < 8; ++d) {
      key.v[d] = __ldcg(source + d);
      value.v[d] = __ldcg(source + x.p.kv_heads * x.p.head_dim + d);
    }
  }

  template <int kQueries>
  __device__ __forceinline__ void Attend(const LaneSplit& split, AttendState<kQueries>& state) const {
    float score[kQueries];
    state.Score(split, key, score);
    if (split.sub != 0) return;
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
      state.Raise(j, score[j]);
      state.Add(j, exp2f(score[j] - state.maximum[j]), value);
    }
  }
};

// States of all warps, one query after the other: maximum, sum, output.
__device__ __forceinline__ float* StateOf(const Context& x, int warp, int query) {
  return reinterpret_cast<float*>(x.act) + (warp * kMaxQueries + query) * (x.p.head_dim + 2);
}

template <class W, int kQueries>
__device__ __forceinline__ void AttendWarp(const Context& x, Ring& ring, const Cursor& c, int first, int last) {
  const LaneSplit split(x.p.head_dim, x.lane);
  AttendState<kQueries> state;
  // The warp with the fewest units.
  const bool owns = c.split == x.p.splits - 1 && x.warp == kWarps - 1;
  OwnPosition own;
  if (owns) own.Load(x, c, split);
  state.Load(x, split, first, last);
  for (int unit = c.unit; unit < x.unit_end; unit += x.p.splits * kWarps) {
    AttendUnit<W>(x, ring, split, unit, state);
  }
  if (owns) own.Attend(split, state);
  state.MergeLanes(split);
  if (split.sub != 0) return;
#pragma unroll
  for (int j = 0; j < kQueries; ++j) {
    float* out = StateOf(x, x.warp, j);
    if (split.dim == 0) {
      out[0] = state.maximum[j];
      out[1] = state.sum[j];
    }
    if (!split.on) continue;
#pragma unroll
    for (int d = 0; d < 8; ++d) out[2 + split.dim + d] = state.out[j][d];
  }
}

// Merges the warps' states into one of the block, in global memory, or into the result if the block is alone.
__device__ __forceinline__ void MergeWarps(const Context& x, const Cursor& c, int first, int queries) {
  const TokenParams& p = x.p;
  for (int i = threadIdx.x; i < queries * p.head_dim; i += kDecodeThreads) {
    const int j = i / p.head_dim;
    const int d = i - j * p.head_dim;
    float maximum = kNothing;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) maximum = fmaxf(maximum, StateOf(x, w, j)[0]);
    float sum = 0;
    float out = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float* state = StateOf(x, w, j);
      const float factor = exp2f(state[0] - maximum);
      sum = fmaf(factor, state[1], sum);
      out = fmaf(factor, state[2 + d], out);
    }
    if (p.splits == 1) {
      Settle(Publish(p.attended + (first + j) * p.head_dim + d, out / sum));
      continue;
    }
    const int64_t at = (int64_t{c.task} * p.splits + c.split) * kMaxQueries + j;
    uint32_t before = Publish(p.part_out + at * p.head_dim + d, out);
    if (d == 0) {
      before |= Publish(p.part_stats + at * 2, maximum) | Publish(p.part_stats + at * 2 + 1, sum);
    }
    Settle(before);
  }
}

// By the last block of a task: merges the blocks' states, in one pass so that all loads go out together.
__device__ __forceinline__ void MergeBlocks(const Context& x, const Cursor& c, int first, int queries) {
  const TokenParams& p = x.p;
  for (int i = threadIdx.x; i < queries * p.head_dim; i += kDecodeThreads) {
    const int j = i / p.head_dim;
    const int d = i - j * p.head_dim;
    const int64_t base = int64_t{c.task} * p.splits * kMaxQueries + j;
    float maximum = kNothing;
    float sum = 0;
    float out = 0;
#pragma unroll 4
    for (int s = 0; s < p.splits; ++s) {
      const int64_t at = base + s * kMaxQueries;
      const float2 stats = __ldcg(reinterpret_cast<const float2*>(p.part_stats) + at);
      const float value = __ldcg(p.part_out + at * p.head_dim + d);
      const float raised = fmaxf(maximum, stats.x);
      const float old_factor = exp2f(maximum - raised);
      const float new_factor = exp2f(stats.x - raised);
      maximum = raised;
      sum = fmaf(sum, old_factor, stats.y * new_factor);
      out = fmaf(out, old_factor, value * new_factor);
    }
    Settle(Publish(p.attended + (first + j) * p.head_dim + d, out / sum));
  }
}

// The whole op for one block; `c` stands at it.
template <class W>
__device__ __forceinline__ void Attend(const Context& x, Ring& ring, const Cursor& c) {
  const TokenParams& p = x.p;
  if (c.task >= p.tasks) return;
  const int group = p.heads / p.kv_heads;
  const int head = c.task / p.tasks_per_head;
  const int first = head * group + (c.task - head * p.tasks_per_head) * kMaxQueries;
  const int last = min(first + kMaxQueries, (head + 1) * group) - 1;
  const int queries = last - first + 1;
  if (queries == 1) {
    AttendWarp<W, 1>(x, ring, c, first, last);
  } else if (queries == 2) {
    AttendWarp<W, 2>(x, ring, c, first, last);
  } else {
    AttendWarp<W, 4>(x, ring, c, first, last);
  }
  __syncthreads();
  MergeWarps(x, c, first, queries);
  if (p.splits == 1) return;
  if (!LastToArrive<false>(p.task_done + c.task, p.splits, reinterpret_cast<uint32_t*>(x.scratch) + 60)) return;
  MergeBlocks(x, c, first, queries);
}

}  // namespace uaqf::cuda
