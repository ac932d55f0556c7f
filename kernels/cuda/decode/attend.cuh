// Attention of one token over a part of the context. A block works for one KV head and up to two of its query heads;
// the ring brings the keys and values of its positions in chunks, of which each warp takes its part.
// States (maximum, sum, output) are merged lanes -> warps -> blocks, always in the same order.
#pragma once

#include "kernels/cuda/decode/attend_state.cuh"

namespace uaqf::cuda {

// Keys and values of consecutive positions in shared memory; scales where the cache is quantized.
struct Positions {
  uint32_t keys, values;
  uint32_t key_scales = 0, value_scales = 0;
};

// Eight dimensions at `row` where `on`, nothing elsewhere: what lies there may be anything, NaN too.
template <int kBits>
__device__ __forceinline__ Unpacked LoadRow(bool on, uint32_t row, uint32_t scale) {
  if constexpr (kBits == 16) {
    return Unpack8(on ? LoadShared<uint4>(row) : uint4{});
  } else {
    return UnpackCodes(LoadWhere<PackedCodes<kBits>>(on, row), LoadWhere<uint32_t>(on, scale));
  }
}

// This warp's positions of `count`: rows of as many as it works on at once, a row of each warp and again.
template <int kBits, int kQueries>
__device__ __forceinline__ void AttendPositions(const Context& x, const LaneSplit& split, int count,
                                                const Positions& at, const Angles& turn, AttendState<kQueries>& state) {
  float weight[kScores][kQueries];
  const int mine = x.warp * split.positions + split.sub;
  const int step = split.step();
  const int row_bytes = KvRowBytes(kBits, x.p.head_dim);
  const uint32_t offset = mine * row_bytes + split.dim * kBits / 8;
  const uint32_t scale_offset = mine * kKvScaleBytes;
#pragma unroll
  for (int i = 0; i < kScores; ++i) {
    state.Score(split,
                LoadRow<kBits>(split.on, at.keys + offset + i * step * row_bytes,
                               at.key_scales + scale_offset + i * step * kKvScaleBytes),
                weight[i]);
    if (kBits != 16) state.Turn(kQueries == 1 ? turn : StepAngles(x, split));
  }
#pragma unroll
  for (int j = 0; j < kQueries; ++j) {
    float maximum = kNothing;
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      if (mine + i * step >= count) weight[i][j] = kNothing;
      maximum = fmaxf(maximum, weight[i][j]);
    }
    state.Raise(j, maximum);
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      weight[i][j] = weight[i][j] == kNothing ? 0 : exp2f(weight[i][j] - state.maximum[j]);
    }
  }
#pragma unroll
  for (int i = 0; i < kScores; ++i) {
    const bool inside = split.on && mine + i * step < count;
    const Unpacked value = LoadRow<kBits>(inside, at.values + offset + i * step * row_bytes,
                                          at.value_scales + scale_offset + i * step * kKvScaleBytes);
#pragma unroll
    for (int j = 0; j < kQueries; ++j) state.Add(j, weight[i][j], value);
  }
}

// This warp's positions of the chunk in `slot`, which starts at `from`. A quantized one holds more positions than lanes
// score at once.
template <int kBits, int kQueries>
__device__ __forceinline__ void AttendChunk(const Context& x, const LaneSplit& split, uint32_t slot, int from,
                                            int count, AttendState<kQueries>& state) {
  const int row_bytes = KvRowBytes(kBits, x.p.head_dim);
  if constexpr (kBits == 16) {
    AttendPositions<kBits>(x, split, count, {slot, slot + x.unit_positions * row_bytes}, {}, state);
  } else {
    const QuantizedChunk chunk(slot, x.unit_positions, row_bytes);
    const int skipped = from % kKvScaleRows * kKvScaleBytes;
    Positions at = {chunk.keys, chunk.values, chunk.key_scales + skipped, chunk.value_scales + skipped};
    const int positions = split.positions * kScores * kWarps;
    const Angles turn = kQueries == 1 ? StepAngles(x, split) : Angles();
#pragma unroll 1
    for (; count > 0; count -= positions) {
      AttendPositions<kBits>(x, split, count, at, turn, state);
      at.keys += positions * row_bytes;
      at.values += positions * row_bytes;
      at.key_scales += positions * kKvScaleBytes;
      at.value_scales += positions * kKvScaleBytes;
    }
    state.Turn(ChunkAngles(x, split));
  }
}

// Key and value of the token's own position, which the stream cannot have brought.
struct OwnPosition {
  uint32_t words[2][8];

  template <int kBits>
  __device__ __forceinline__ void Ask(const Context& x, const Cursor& c, const LaneSplit& split) {
    const float* source =
        x.p.own + c.task / x.p.tasks_per_head * x.p.head_dim + split.DimensionOf<kBits>(0, x.p.head_dim);
    const int values = x.p.kv_heads * x.p.head_dim;
    if constexpr (kBits == 16) {
#pragma unroll
      for (int d = 0; d < 8; ++d) {
        words[0][d] = split.on ? LoadMarked(source + d) : 0;
        words[1][d] = split.on ? LoadMarked(source + values + d) : 0;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const uint4 four = split.on ? LoadMarked4(source + i / 2 * values + i % 2 * (x.p.head_dim / 2)) : uint4{};
        words[i / 2][i % 2] = four.x;
        words[i / 2][i % 2 + 2] = four.y;
        words[i / 2][i % 2 + 4] = four.z;
        words[i / 2][i % 2 + 6] = four.w;
      }
    }
  }

  // The key (0) or the value (1). A quantized one counts as what it will be when it is read back; for each KV head one
  // warp of the grid writes it.
  template <int kBits>
  __device__ __forceinline__ Unpacked Take(const Context& x, const Cursor& c, const LaneSplit& split, int which) const {
    Unpacked row;
#pragma unroll
    for (int d = 0; d < 8; ++d) row.v[d] = Unmarked(words[which][d]);
    row.scale = 1;
    if constexpr (kBits == 16) {
      return row;
    } else {
      const TokenParams& p = x.p;
      PackedCodes<kBits> packed;
      const uint32_t pair = QuantizeRow<kBits>(row.v, split.lanes, split.on, packed);
      const int head = c.task / p.tasks_per_head;
      if (c.task == head * p.tasks_per_head && split.sub == 0 && split.on) {
        const LayerTable& layer = x.table[c.layer];
        auto* cache = reinterpret_cast<uint8_t*>(which == 0 ? layer.keys : layer.values);
        uint8_t* codes = cache + (int64_t{head} * p.capacity + x.position) * KvRowBytes(kBits, p.head_dim);
        auto* scales = reinterpret_cast<uint32_t*>(cache + KvScalesOffset(kBits, p.kv_heads, p.head_dim, p.capacity));
        StoreCodes<kBits>(codes, split.dim, packed);
        if (split.dim == 0) scales[head * KvScaleRowsOf(p.capacity) + x.position] = pair;
      }
      return UnpackCodes(packed, pair);
    }
  }

  template <int kBits, int kQueries>
  __device__ __forceinline__ void Attend(const Context& x, const Cursor& c, const LaneSplit& split, uint32_t mark,
                                         AttendState<kQueries>& state) {
#pragma unroll 1
    for (int polls = 0; split.on; ++polls) {
      uint32_t wrong = 0;
#pragma unroll
      for (int d = 0; d < 8; ++d) wrong |= (words[0][d] ^ mark) | (words[1][d] ^ mark);
      if ((wrong & 1) == 0) break;
      if (polls == kMaxPolls) __trap();
      Ask<kBits>(x, c, split);
    }
    __syncwarp();
    float score[kQueries];
    state.Score(split, Take<kBits>(x, c, split, 0), score);
    const Unpacked value = Take<kBits>(x, c, split, 1);
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
  return reinterpret_cast<float*>(x.act) + (warp * x.p.task_queries + query) * (x.p.head_dim + 2);
}

template <int kBits, int kQueries>
__device__ __forceinline__ void AttendWarp(const Context& x, Ring& ring, const Cursor& c, int first, int last) {
  const LaneSplit split(x.p.head_dim, x.lane);
  AttendState<kQueries> state;
  // The warp with the fewest positions.
  const bool owns = c.split == x.p.splits - 1 && x.warp == kWarps - 1;
  const uint32_t mark = MarkOf(x, c.layer);
  // Asked for when it is needed where registers are short.
  constexpr bool kAskEarly = kQueries == 1 && kBits == 16;
  OwnPosition own;
  if (owns && kAskEarly) own.Ask<kBits>(x, c, split);
  Angles distance;
  if (kBits != 16) {
    // To the first of this lane's positions.
    const int from = c.from + x.warp * split.positions + split.sub;
    distance = DistanceAngles(x, split, max(0, x.position - from));
  }
  state.template Load<kBits>(x, split, first, last, mark);
  if (kBits != 16) {
    if (owns) {
      // First, while the query is as it came: at no distance.
      own.Ask<kBits>(x, c, split);
      own.Attend<kBits>(x, c, split, mark, state);
    }
    state.Turn(distance);
  }
  for (int from = c.from; from < c.past_end; from += x.unit_positions) {
    AttendChunk<kBits>(x, split, ring.Take(x), from, min(x.unit_positions, c.past_end - from), state);
    ring.Release(x);
  }
  if (owns && kBits == 16) {
    if (!kAskEarly) own.Ask<kBits>(x, c, split);
    own.Attend<kBits>(x, c, split, mark, state);
  }
  state.MergeLanes(split);
  if (split.sub != 0) return;
#pragma unroll
  for (int j = 0; j < kQueries; ++j) {
    if (first + j > last) continue;
    float* out = StateOf(x, x.warp, j);
    if (split.dim == 0) {
      out[0] = state.maximum[j];
      out[1] = state.sum[j];
    }
    if (!split.on) continue;
#pragma unroll
    for (int i = 0; i < 8; ++i) out[2 + split.DimensionOf<kBits>(i, x.p.head_dim)] = state.out[j][i];
  }
}

// What one dimension of one query has come to.
struct Merged {
  float maximum = kNothing;
  float sum = 0;
  float out = 0;

  __device__ __forceinline__ void Take(float other_maximum, float other_sum, float other_out) {
    const float raised = fmaxf(maximum, other_maximum);
    const float mine = exp2f(maximum - raised);
    const float theirs = exp2f(other_maximum - raised);
    maximum = raised;
    sum = fmaf(sum, mine, other_sum * theirs);
    out = fmaf(out, mine, other_out * theirs);
  }
};

// Dimension d of query j over all warps of the block; two neighbouring lanes work on it together.
__device__ __forceinline__ Merged MergeWarps(const Context& x, int j, int d) {
  Merged m;
#pragma unroll
  for (int i = 0; i < kWarps / 2; ++i) {
    const float* state = StateOf(x, i * 2 + (x.lane & 1), j);
    m.Take(state[0], state[1], state[2 + d]);
  }
  const Merged other = {__shfl_xor_sync(~0u, m.maximum, 1), __shfl_xor_sync(~0u, m.sum, 1),
                        __shfl_xor_sync(~0u, m.out, 1)};
  m.Take(other.maximum, other.sum, other.out);
  return m;  // of use in the even lane only
}

// Takes in what the other blocks of a task have for one dimension of one query. `part` is of the first block; a few
// blocks at a time, so that their values come together.
__device__ __forceinline__ void MergeParts(const TokenParams& p, const float* part, int d, uint32_t mark, Merged& m) {
  constexpr int kAtOnce = 3;
  const int split_words = p.task_queries * (p.head_dim + 2);
#pragma unroll 1
  for (int s = 1; s < p.splits; s += kAtOnce) {
    uint32_t words[kAtOnce][3];
    uint32_t wrong = 0;
#pragma unroll 1
    for (int polls = 0; polls == 0 || (wrong & 1) != 0; ++polls) {
      if (polls == kMaxPolls) __trap();
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const float* other = part + (s + i) * split_words;
        const bool there = s + i < p.splits;
        words[i][0] = there ? LoadMarked(other) : mark;
        words[i][1] = there ? LoadMarked(other + 1) : mark;
        words[i][2] = there ? LoadMarked(other + 2 + d) : mark;
      }
      wrong = 0;
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) wrong |= (words[i][0] ^ mark) | (words[i][1] ^ mark) | (words[i][2] ^ mark);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (s + i < p.splits) m.Take(Unmarked(words[i][0]), Unmarked(words[i][1]), Unmarked(words[i][2]));
    }
  }
}

// Merges the block's states. The blocks of a task hand theirs to its first, which waits for them and has the result.
template <bool kPlaced>
__device__ __forceinline__ void MergeBlocks(const Context& x, const Cursor& c, int first, int queries) {
  const TokenParams& p = x.p;
  const int dims = p.head_dim;
  const uint32_t mark = MarkOf(x, c.layer);
#pragma unroll 1
  for (int i = threadIdx.x / 2; i < queries * dims; i += kComputeThreads / 2) {
    const int j = i / dims;
    const int d = i - j * dims;
    const int row = (first + j) * dims + d;
    const int at = kPlaced ? PlaceOf(x.table[c.layer].place[kOutMatrix], row) : row;
    Merged m = MergeWarps(x, j, d);
    if ((x.lane & 1) != 0) continue;
    float* part = p.parts + (int64_t{c.task} * p.splits * p.task_queries + j) * (dims + 2);
    if (c.split != 0) {
      part += c.split * p.task_queries * (dims + 2);
      if (d == 0) {
        StoreMarked(part, m.maximum, mark);
        StoreMarked(part + 1, m.sum, mark);
      }
      StoreMarked(part + 2 + d, m.out, mark);
      continue;
    }
    MergeParts(p, part, d, mark, m);
    StoreMarked(p.attended + at, __fdividef(m.out, m.sum), mark);
  }
}

// The whole op for one block; `c` stands at it.
template <int kBits, bool kPlaced>
__device__ __forceinline__ void Attend(const Context& x, Ring& ring, const Cursor& c) {
  const TokenParams& p = x.p;
  if (c.task >= p.tasks) return;
  const int group = p.heads / p.kv_heads;
  const int head = c.task / p.tasks_per_head;
  const int first = head * group + (c.task - head * p.tasks_per_head) * kMaxQueries;
  const int last = min(first + kMaxQueries, (head + 1) * group) - 1;
  const int queries = last - first + 1;
  if constexpr (kPlaced) {
    const int row = min(first * p.head_dim + static_cast<int>(threadIdx.x) / 2, p.heads * p.head_dim - 1);
    PrefetchPlace(x.table[c.layer].place[kOutMatrix], row);
  }
  if (queries == 1) {
    AttendWarp<kBits, 1>(x, ring, c, first, last);
  } else {
    AttendWarp<kBits, 2>(x, ring, c, first, last);
  }
  ComputeSync();
  MergeBlocks<kPlaced>(x, c, first, queries);
}

}  // namespace uaqf::cuda
