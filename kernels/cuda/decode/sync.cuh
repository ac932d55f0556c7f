// Sums over a block, in a fixed order so that results repeat bit by bit, and waiting for other blocks.
#pragma once

#include "kernels/cuda/decode/feed.cuh"

namespace uaqf::cuda {

// Polls before a wait for other blocks gives up: seconds. A hang then is an error that the host sees.
inline constexpr int kMaxPolls = 1 << 23;

// Of the computing warps; the copying warp never waits for them here.
__device__ __forceinline__ void ComputeSync() { asm volatile("bar.sync 1, %0;" ::"n"(kComputeThreads) : "memory"); }

template <bool kMaximum>
__device__ __forceinline__ float BlockReduce(const Context& x, float value, float* scratch) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(~0u, value, step);
    value = kMaximum ? fmaxf(value, other) : value + other;
  }
  if (x.lane == 0) scratch[x.warp] = value;
  ComputeSync();
  float result = scratch[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) result = kMaximum ? fmaxf(result, scratch[w]) : result + scratch[w];
  return result;
}

// A sum over the block in two steps, with a ComputeSync of the caller's between them.
__device__ __forceinline__ void BlockSumLater(const Context& x, float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
  if (x.lane == 0) x.scratch[x.warp] = value;
}
__device__ __forceinline__ float BlockSumNow(const Context& x) {
  float result = x.scratch[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) result += x.scratch[w];
  return result;
}

__device__ __forceinline__ void Trace(const Context& x, const Cursor& c, int event) {
  if (x.p.trace == nullptr || threadIdx.x != 0) return;
  const int place = c.op == kHeadOp ? x.p.layers * 5 : c.layer * 5 + c.op;
  x.p.trace[(place * x.p.grid + x.cta) * 4 + event] = clock64();
}

// Returns when all but `missing` of `target` blocks have said that they have published. The difference is signed, so
// that the counter may wrap.
__device__ __forceinline__ void AwaitArrivals(const Context& x, uint32_t target, int missing) {
  // The last warp seldom has rows to look up before.
  if (threadIdx.x == kComputeThreads - 32) {
    int polls = 0;
    while (static_cast<int32_t>(LoadRelaxed(&x.p.state->arrivals) - target) < -missing) {
      if (++polls == kMaxPolls) __trap();
    }
  }
  ComputeSync();
}

// A value that another block publishes, and twice four.
__device__ __forceinline__ float Await(const float* pointer, uint32_t mark) {
  uint32_t word = LoadMarked(pointer);
  for (int polls = 0; ((word ^ mark) & 1) != 0; ++polls) {
    if (polls == kMaxPolls) __trap();
    word = LoadMarked(pointer);
  }
  return Unmarked(word);
}
__device__ __forceinline__ void AwaitEight(const float* first, const float* second, uint32_t mark, float4 (&out)[2]) {
  for (int polls = 0;; ++polls) {
    const uint4 a = LoadMarked4(first);
    const uint4 b = LoadMarked4(second);
    out[0] = {Unmarked(a.x), Unmarked(a.y), Unmarked(a.z), Unmarked(a.w)};
    out[1] = {Unmarked(b.x), Unmarked(b.y), Unmarked(b.z), Unmarked(b.w)};
    const uint32_t wrong = (a.x ^ mark) | (a.y ^ mark) | (a.z ^ mark) | (a.w ^ mark) | (b.x ^ mark) | (b.y ^ mark) |
                           (b.z ^ mark) | (b.w ^ mark);
    if ((wrong & 1) == 0) return;
    if (polls == kMaxPolls) __trap();
  }
}

// True in all threads of the block that is the last of `blocks` to come here: it may read what the others wrote. The
// counter is then zero again.
__device__ __forceinline__ bool LastToArrive(uint32_t* counter, uint32_t blocks, uint32_t* flag) {
  ComputeSync();
  if (threadIdx.x == 0) {
    const bool last = AddAcquireRelease(counter) == blocks - 1;
    if (last) atomicExch(counter, 0u);
    *flag = last;
  }
  ComputeSync();
  return *flag != 0;
}

}  // namespace uaqf::cuda
