// Batched attention of a warp over its positions of a piece: rows of keys and values through its ring in shared memory,
// softmax on the way.
#pragma once

#include "kernels/cuda/barrier.cuh"
#include "kernels/cuda/batch/attention_task.cuh"
#include "kernels/cuda/prefill/fragments.cuh"

namespace uaqf::cuda::batch {

// Softmax on the way: the largest score (in powers of two), the sum, and a lane's share of the values.
template <int kHeads>
struct State {
  float most[kHeads];
  float sum[kHeads];
  float values[kHeads][8];
};

__device__ __forceinline__ void Unpack8(const uint4& bits, float (&v)[8]) {
  const auto* pairs = reinterpret_cast<const __half2*>(&bits);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    v[2 * i] = pair.x;
    v[2 * i + 1] = pair.y;
  }
}

template <int kLanes, int kHeads>
struct Shape {
  static constexpr int kRows = 32 / kLanes;                  // positions of a step
  static constexpr int kTurns = kOfWarp / (kRows * kSteps);  // stages of a piece
  // Keys, values and, in the first stage of a piece, queries: a piece of 16 bytes of each lane.
  static constexpr int kStageBytes = (2 * kSteps + kHeads) * 512;
  static constexpr int kStages = kHeads == 1 ? 3 : 2;
  static constexpr int kShared = kWarps * kStages * kStageBytes;
};

// What a lane reads: positions of `task` from its warp's first on.
struct Rows {
  const __half* keys;
  const __half* values;
  int64_t query;  // of the task's first head
  int first;      // position
  template <int kLanes>
  __device__ __forceinline__ static Rows Of(const AttentionParams& p, const Task& task, const Range& range) {
    const int lane = threadIdx.x % 32;
    const int dim = lane % kLanes * 8;
    const int64_t head = task.sequence * p.cache.stride + int64_t{task.kv_head} * p.shape.capacity * p.shape.head_dim;
    return {
        p.cache.keys + head + dim, p.cache.values + head + dim,
        (int64_t{task.sequence} * p.shape.heads + task.head) * p.shape.head_dim + dim,
        (range.first / kPiece + task.piece) * kPiece + static_cast<int>(threadIdx.x) / 32 * kOfWarp + lane / kLanes};
  }
};

// 16 bytes, or as many zeros.
__device__ __forceinline__ void Copy16Or0(uint32_t target, const void* source, bool copy) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(copy ? 16 : 0)
               : "memory");
}

// This lane's part of stage `turn` of a piece, for all kHeads queries, of which `queries` are there.
template <int kLanes, int kHeads>
__device__ __forceinline__ void CopyStage(const AttentionParams& p, uint32_t stage, const Rows& rows,
                                          const Range& range, int queries, int turn) {
  using S = Shape<kLanes, kHeads>;
  const bool exists = static_cast<int>(threadIdx.x) % kLanes * 8 < p.shape.head_dim;
  stage += threadIdx.x % 32 * 16;
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    const int position = rows.first + (turn * kSteps + j) * S::kRows;
    const bool copy = exists && position >= range.first && position <= range.last;
    const int64_t at = copy ? int64_t{position} * p.shape.head_dim : 0;
    Copy16Or0(stage + j * 512, rows.keys + at, copy);
    Copy16Or0(stage + (kSteps + j) * 512, rows.values + at, copy);
  }
  if (turn > 0) return;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const int64_t at = rows.query + int64_t{min(h, queries - 1)} * p.shape.head_dim;
    Copy16Or0(stage + (2 * kSteps + h) * 512, p.query + at, exists);
  }
}

template <int kLanes, int kHeads>
__device__ __forceinline__ void AttendStage(uint32_t stage, const Range& range, int first,
                                            const float (&query)[kHeads][8], State<kHeads>* state) {
  using S = Shape<kLanes, kHeads>;
  stage += threadIdx.x % 32 * 16;
  bool seen[kSteps];
  float scores[kHeads][kSteps];
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    const int position = first + j * S::kRows;
    seen[j] = position >= range.first && position <= range.last;
    float key[8];
    Unpack8(prefill::LoadShared16(stage + j * 512), key);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      float dot = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) dot = fmaf(query[h][i], key[i], dot);
      scores[h][j] = dot;
    }
  }
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
#pragma unroll
    for (int step = 1; step < kLanes; step *= 2) {
#pragma unroll
      for (int j = 0; j < kSteps; ++j) scores[h][j] += __shfl_xor_sync(~0u, scores[h][j], step);
    }
    float most = state->most[h];
#pragma unroll
    for (int j = 0; j < kSteps; ++j) most = fmaxf(most, seen[j] ? scores[h][j] : kLowest);
    const float keep = exp2f(state->most[h] - most);
    state->most[h] = most;
    state->sum[h] *= keep;
#pragma unroll
    for (int i = 0; i < 8; ++i) state->values[h][i] *= keep;
#pragma unroll
    for (int j = 0; j < kSteps; ++j) {
      scores[h][j] = seen[j] ? exp2f(scores[h][j] - most) : 0.0f;
      state->sum[h] += scores[h][j];
    }
  }
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    float value[8];
    Unpack8(prefill::LoadShared16(stage + (kSteps + j) * 512), value);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
#pragma unroll
      for (int i = 0; i < 8; ++i) state->values[h][i] = fmaf(scores[h][j], value[i], state->values[h][i]);
    }
  }
}

// Adds the rows of a warp up: all lanes that share dimensions have the same afterwards.
template <int kLanes, int kHeads>
__device__ __forceinline__ void JoinRows(State<kHeads>* state) {
#pragma unroll
  for (int step = kLanes; step < 32; step *= 2) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const float most = fmaxf(state->most[h], __shfl_xor_sync(~0u, state->most[h], step));
      const float keep = exp2f(state->most[h] - most);
      state->most[h] = most;
      state->sum[h] *= keep;
      state->sum[h] += __shfl_xor_sync(~0u, state->sum[h], step);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float mine = state->values[h][i] * keep;
        state->values[h][i] = mine + __shfl_xor_sync(~0u, mine, step);
      }
    }
  }
}

// The copies of a warp, ahead of what it computes.
template <int kLanes, int kHeads>
class Feed {
 public:
  using S = Shape<kLanes, kHeads>;
  __device__ __forceinline__ Feed(const AttentionParams& p, const Shared<kLanes, kHeads>& shared, uint32_t ring)
      : p_(p), shared_(shared), ring_(ring), total_(shared.first_task[kMostSequences]), at_(blockIdx.x), range_(p, 0) {
    Find();
  }

  // Starts the next stage's, if there is one.
  __device__ __forceinline__ void Next() {
    if (at_ < total_) {
      CopyStage<kLanes, kHeads>(p_, ring_ + stage_ * S::kStageBytes, rows_, range_, queries_, turn_);
      stage_ = stage_ + 1 == S::kStages ? 0 : stage_ + 1;
      if (++turn_ == S::kTurns) {
        turn_ = 0;
        at_ += gridDim.x;
        Find();
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

 private:
  __device__ __forceinline__ void Find() {
    if (at_ >= total_) return;
    const Task task = TaskAt(p_, shared_, at_, kHeads);
    range_ = Range(p_, shared_.positions[task.sequence]);
    rows_ = Rows::Of<kLanes>(p_, task, range_);
    queries_ = (task.kv_head + 1) * p_.group - task.head;
  }

  const AttentionParams& p_;
  const Shared<kLanes, kHeads>& shared_;
  const uint32_t ring_;
  const int total_;
  int at_;
  Range range_;
  Rows rows_ = {};
  int queries_ = 1;
  int turn_ = 0;
  int stage_ = 0;
};

// A warp's positions of a piece; `stage` is that of the ring which comes next.
template <int kLanes, int kHeads>
__device__ __forceinline__ void AttendPiece(const AttentionParams& p, const Task& task, const Range& range,
                                            uint32_t ring, int* stage, Feed<kLanes, kHeads>& feed,
                                            Shared<kLanes, kHeads>* shared) {
  using S = Shape<kLanes, kHeads>;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int first = Rows::Of<kLanes>(p, task, range).first;
  float query[kHeads][8];
  State<kHeads> state;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    state.most[h] = kLowest;
    state.sum[h] = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) state.values[h][i] = 0;
  }
#pragma unroll 1
  for (int turn = 0; turn < S::kTurns; ++turn) {
    asm volatile("cp.async.wait_group %0;" ::"n"(S::kStages - 2) : "memory");
    const uint32_t at = ring + *stage * S::kStageBytes;
    if (turn == 0) {
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        Unpack8(prefill::LoadShared16(at + (2 * kSteps + h) * 512 + lane * 16), query[h]);
#pragma unroll
        for (int i = 0; i < 8; ++i) query[h][i] *= p.shape.scale;
      }
    }
    feed.Next();
    AttendStage<kLanes, kHeads>(at, range, first + turn * kSteps * S::kRows, query, &state);
    *stage = *stage + 1 == S::kStages ? 0 : *stage + 1;
  }
  JoinRows<kLanes, kHeads>(&state);
  if (lane < kLanes) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      if (lane == 0) {
        shared->most[warp][h] = state.most[h];
        shared->sum[warp][h] = state.sum[h];
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) shared->values[warp][h][lane * 8 + i] = state.values[h][i];
    }
  }
}

}  // namespace uaqf::cuda::batch
