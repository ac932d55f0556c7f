// Reductions over a block, in a fixed order.
#pragma once

#include <cuda_runtime.h>

namespace uaqf::cuda {

template <typename T>
__device__ __forceinline__ T ShuffleXor(T value, int step) {
  return __shfl_xor_sync(~0u, value, step);
}
__device__ __forceinline__ float2 ShuffleXor(float2 value, int step) {
  return {ShuffleXor(value.x, step), ShuffleXor(value.y, step)};
}

// The reduction over all threads of the block, in every thread. `scratch` holds a value for each warp; it may be used
// again at once.
template <typename T, class Combine>
__device__ __forceinline__ T BlockReduce(T value, T* scratch, const Combine& combine) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = combine(value, ShuffleXor(value, step));
  __syncthreads();
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  T result = scratch[0];
  for (int warp = 1; warp < static_cast<int>(blockDim.x) / 32; ++warp) result = combine(result, scratch[warp]);
  return result;
}

__device__ __forceinline__ float BlockMax(float value, float* scratch) {
  return BlockReduce(value, scratch, [](float a, float b) { return fmaxf(a, b); });
}

// The sum of the first and the largest of the second.
__device__ __forceinline__ float2 BlockSumAndMax(float2 value, float2* scratch) {
  return BlockReduce(value, scratch, [](float2 a, float2 b) { return float2{a.x + b.x, fmaxf(a.y, b.y)}; });
}

}  // namespace uaqf::cuda
