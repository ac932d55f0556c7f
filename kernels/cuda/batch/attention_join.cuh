// How the parts of a context that batched attention (attention.cu) leaves become its result.
#pragma once

#include "kernels/cuda/batch/attention_task.cuh"
#include "kernels/cuda/batch/put.cuh"

namespace uaqf::cuda::batch {

// Leaves a part in memory, or the result where the context is one piece.
template <int kLanes, int kHeads>
__device__ __forceinline__ void PutParts(const AttentionParams& p, const Task& task, int pieces, float* parts,
                                         const Shared<kLanes, kHeads>& shared) {
  const int dims = p.shape.head_dim;
  for (int item = threadIdx.x; item < kHeads * dims; item += kThreads) {
    const int h = item / dims;
    const int dim = item % dims;
    float most = shared.most[0][h];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) most = fmaxf(most, shared.most[w][h]);
    float sum = 0;
    float value = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float keep = exp2f(shared.most[w][h] - most);
      sum = fmaf(shared.sum[w][h], keep, sum);
      value = fmaf(shared.values[w][h][dim], keep, value);
    }
    if (pieces == 1) {
      if (task.head + h >= (task.kv_head + 1) * p.group) continue;
      PutHalf(p.out, task.sequence, p.shape.heads * dims, (task.head + h) * dims + dim, value / sum);
      continue;
    }
    float* part = parts + (int64_t{task.piece} * kHeads + h) * (dims + 2);
    if (dim == 0) {
      __stcg(part, most);
      __stcg(part + 1, sum);
    }
    __stcg(part + 2 + dim, value);
  }
}

// The last block of a context adds its parts up.
template <int kHeads>
__device__ __forceinline__ void JoinPieces(const AttentionParams& p, const Task& task, int pieces, const float* parts) {
  const int dims = p.shape.head_dim;
  const int64_t stride = int64_t{kHeads} * (dims + 2);
  for (int item = threadIdx.x; item < kHeads * dims; item += kThreads) {
    const int h = item / dims;
    const int dim = item % dims;
    if (task.head + h >= (task.kv_head + 1) * p.group) continue;
    const float* part = parts + int64_t{h} * (dims + 2);
    float most = kLowest;
#pragma unroll 8
    for (int i = 0; i < pieces; ++i) most = fmaxf(most, __ldcg(part + i * stride));
    float sum = 0;
    float value = 0;
#pragma unroll 8
    for (int i = 0; i < pieces; ++i) {
      const float keep = exp2f(__ldcg(part + i * stride) - most);
      sum = fmaf(__ldcg(part + i * stride + 1), keep, sum);
      value = fmaf(__ldcg(part + i * stride + 2 + dim), keep, value);
    }
    PutHalf(p.out, task.sequence, p.shape.heads * dims, (task.head + h) * dims + dim, value / sum);
  }
}

// Where the parts of a task's context are.
template <int kHeads>
__device__ __forceinline__ int64_t ContextOf(const AttentionParams& p, const Task& task, float** parts) {
  const int64_t context = int64_t{task.sequence} * p.tasks + task.which;
  *parts = p.parts + context * p.most_pieces * kHeads * (p.shape.head_dim + 2);
  return context;
}

// Counts this block's parts, and adds up those of contexts that are complete with them.
template <int kLanes, int kHeads>
__device__ __forceinline__ void JoinContexts(const AttentionParams& p, int total, Shared<kLanes, kHeads>* shared) {
  __threadfence();
  __syncthreads();
  float* parts = nullptr;
  for (int base = blockIdx.x; base < total; base += gridDim.x * kThreads) {
    const int mine = base + static_cast<int>(threadIdx.x * gridDim.x);
    bool last = false;
    if (mine < total) {
      int sequence = 0;
      while (shared->first_task[sequence + 1] <= mine) ++sequence;
      const Task task(p, sequence, mine - shared->first_task[sequence], kHeads);
      const int pieces = Range(p, shared->positions[sequence]).pieces();
      int* count = p.counts + ContextOf<kHeads>(p, task, &parts);
      last = pieces > 1 && atomicAdd(count, 1) + 1 == pieces;
      if (last) *count = 0;
    }
    shared->last[threadIdx.x] = last;
    __threadfence();
    __syncthreads();
    for (int i = 0; i < kThreads && base + i * static_cast<int>(gridDim.x) < total; ++i) {
      if (!shared->last[i]) continue;
      const Task task = TaskAt(p, *shared, base + i * static_cast<int>(gridDim.x), kHeads);
      ContextOf<kHeads>(p, task, &parts);
      JoinPieces<kHeads>(p, task, Range(p, shared->positions[task.sequence]).pieces(), parts);
    }
    __syncthreads();  // the marks may be written again
  }
}

}  // namespace uaqf::cuda::batch
