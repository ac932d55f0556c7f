// What blocks of batched attention (attention.cu) work on.
#pragma once

#include "kernels/cuda/batch.h"

namespace uaqf::cuda::batch {

constexpr int kPiece = 512;  // 256 takes 1.35 times as long with 32 sequences of 768 tokens, 128 twice
constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kOfWarp = kPiece / kWarps;
constexpr int kSteps = 4;   // loads of a lane in a stage, of keys and of values
constexpr int kBlocks = 2;  // of a multiprocessor
// Below every score, but finite: a difference of two of them is a number.
constexpr float kLowest = -1e30f;

struct AttentionParams {
  BatchAttentionShape shape;
  int sequences;
  int group;        // queries of a KV head
  int tasks;        // of a sequence and piece: KV heads, each so often that all its queries have a turn
  int most_pieces;  // of a context
  const int32_t* positions;
  const __half* query;
  BatchCache cache;
  Fp16Rows out;
  int* counts;   // [sequence][task]: parts that are there; 0 between calls
  float* parts;  // [sequence][task][piece][head]: largest score, sum, head_dim values
};

struct Range {
  int first, last;  // positions that are seen
  __device__ __forceinline__ Range(const AttentionParams& p, int position)
      : first(p.shape.window > 0 ? max(0, position + 1 - p.shape.window) : 0), last(position) {}
  __device__ __forceinline__ int pieces() const { return last / kPiece - first / kPiece + 1; }
};

// What a block works on.
struct Task {
  int sequence, which, piece;
  int kv_head, head;  // the first query's
  __device__ __forceinline__ Task(const AttentionParams& p, int sequence, int within, int heads)
      : sequence(sequence), which(within % p.tasks), piece(within / p.tasks) {
    const int turns = p.tasks / p.shape.kv_heads;
    kv_head = which / turns;
    head = kv_head * p.group + which % turns * heads;
  }
};

template <int kLanes, int kHeads>
struct Shared {
  float most[kWarps][kHeads];
  float sum[kWarps][kHeads];
  float values[kWarps][kHeads][kLanes * 8];
  int first_task[kMostSequences + 1];  // of each sequence, and behind the last
  int positions[kMostSequences];
  bool last[kThreads];  // of a context's blocks, at the block's tasks
};

// Task number `at`; the whole warp asks for the same.
template <class S>
__device__ __forceinline__ Task TaskAt(const AttentionParams& p, const S& shared, int at, int heads) {
  const int sequence = __popc(__ballot_sync(~0u, shared.first_task[threadIdx.x % 32 + 1] <= at));
  return Task(p, sequence, at - shared.first_task[sequence], heads);
}

// Work of all sequences, numbered through, sequence by sequence.
template <class S>
__device__ __forceinline__ void NumberTasks(const AttentionParams& p, S* shared) {
  if (threadIdx.x < 32) {
    const int lane = threadIdx.x;
    const int position = lane < p.sequences ? min(p.positions[lane], p.shape.capacity - 1) : 0;
    shared->positions[lane] = position;
    int count = lane < p.sequences ? Range(p, position).pieces() * p.tasks : 0;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const int before = __shfl_up_sync(~0u, count, step);
      if (lane >= step) count += before;
    }
    shared->first_task[lane + 1] = count;
    if (lane == 0) shared->first_task[0] = 0;
  }
  __syncthreads();
}

}  // namespace uaqf::cuda::batch
