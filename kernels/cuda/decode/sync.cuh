// Sums over a block and barriers over the grid, in a fixed order so that results repeat bit by bit.
#pragma once

#include "kernels/cuda/decode/feed.cuh"

namespace uaqf::cuda {

// Polls before a barrier gives up: seconds. A hang then is an error that the host sees.
inline constexpr int kMaxPolls = 1 << 23;

template <bool kMaximum>
__device__ __forceinline__ float BlockReduce(const Context& x, float value, float* scratch) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(~0u, value, step);
    value = kMaximum ? fmaxf(value, other) : value + other;
  }
  if (x.lane == 0) scratch[x.warp] = value;
  __syncthreads();
  float result = scratch[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) result = kMaximum ? fmaxf(result, scratch[w]) : result + scratch[w];
  return result;
}

__device__ __forceinline__ void Trace(const Context& x, int layer, int op, int event) {
  if (x.p.trace == nullptr || threadIdx.x != 0) return;
  x.p.trace[((layer * 5 + op) * x.p.grid + x.cta) * 4 + event] = clock64();
}

// One thread says, for all of its block, that what the block has published (and settled) may be read, through L2 only.
__device__ __forceinline__ void GridArrive(const Context& x) {
  __syncthreads();
  if (threadIdx.x == 0) {
    AddRelaxed(&x.p.state->arrivals);
  }
}

// Returns when `target` arrivals have been counted. The difference is signed, so that the counter may wrap.
__device__ __forceinline__ void GridWait(const Context& x, uint32_t target) {
  if (threadIdx.x == 0) {
    int polls = 0;
    while (static_cast<int32_t>(LoadRelaxed(&x.p.state->arrivals) - target) < 0) {
      if (++polls == kMaxPolls) __trap();
    }
  }
  __syncthreads();
}

// True in all threads of the block that is the last of `blocks` to come here: it may read, through L2, what the others
// have published, or with kFenced all they wrote. The counter is then zero again.
template <bool kFenced>
__device__ __forceinline__ bool LastToArrive(uint32_t* counter, uint32_t blocks, uint32_t* flag) {
  __syncthreads();
  if (threadIdx.x == 0) {
    const bool last = (kFenced ? AddAcquireRelease(counter) : FetchAddRelaxed(counter)) == blocks - 1;
    if (last) atomicExch(counter, 0u);
    *flag = last;
  }
  __syncthreads();
  return *flag != 0;
}

}  // namespace uaqf::cuda
