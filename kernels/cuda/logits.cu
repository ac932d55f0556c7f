#include <cfloat>

#include "kernels/cuda/logits.h"
#include "kernels/cuda/prefill/launch.cuh"
#include "kernels/cuda/reduce.cuh"

namespace uaqf::cuda {

namespace {

// Orders floats as integers, NaN below all, with the lower id ahead among equals.
__device__ __forceinline__ unsigned long long Rank(float value, int id) {
  if (isnan(value)) return 0;
  const uint32_t bits = __float_as_uint(value);
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<unsigned long long>(ordered) << 32 | ~static_cast<uint32_t>(id);
}

// By a block, in every thread.
__device__ __forceinline__ int32_t BestOf(const float* logits, int vocab, unsigned long long* scratch) {
  unsigned long long best = 0;
#pragma unroll 8
  for (int i = threadIdx.x; i < vocab; i += blockDim.x) {
    const unsigned long long rank = Rank(logits[i], i);
    best = rank > best ? rank : best;
  }
  best = BlockReduce(best, scratch, [](auto a, auto b) { return a > b ? a : b; });
  return best == 0 ? 0 : static_cast<int32_t>(~static_cast<uint32_t>(best));
}

__global__ void ArgMaxKernel(const float* logits, int vocab, int32_t* id) {
  __shared__ unsigned long long scratch[32];
  const int32_t best = BestOf(logits, vocab, scratch);
  if (threadIdx.x == 0) *id = best;
}

__global__ void ChooseKernel(const float* logits, int vocab, int32_t* tokens, int32_t* positions) {
  __shared__ unsigned long long scratch[32];
  prefill::WaitForPrevious();
  const int row = blockIdx.x;
  const int32_t best = BestOf(logits + int64_t{row} * vocab, vocab, scratch);
  if (threadIdx.x != 0) return;
  tokens[row] = best;
  ++positions[row];
}

__global__ void NllKernel(const float* logits, const int32_t* targets, int vocab, double* nll) {
  __shared__ float scratch[32];
  __shared__ double sums[32];
  const float* row = logits + static_cast<int64_t>(blockIdx.x) * vocab;
  float most = -FLT_MAX;
  for (int i = threadIdx.x; i < vocab; i += blockDim.x) most = fmaxf(most, row[i]);
  most = BlockMax(most, scratch);
  double sum = 0;
  for (int i = threadIdx.x; i < vocab; i += blockDim.x) sum += expf(row[i] - most);
  sum = BlockReduce(sum, sums, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) nll[blockIdx.x] = log(sum) + most - row[targets[blockIdx.x]];
}

Status Launched(const char* what) { return FromCuda(cudaGetLastError(), what); }

}  // namespace

Status ArgMax(const float* logits, int vocab, int32_t* id, cudaStream_t stream) {
  ArgMaxKernel<<<1, 1024, 0, stream>>>(logits, vocab, id);
  return Launched("ArgMax");
}

Status ChooseTokens(const float* logits, int rows, int vocab, int32_t* tokens, int32_t* positions,
                    cudaStream_t stream) {
  return FromCuda(prefill::LaunchAfter(ChooseKernel, dim3(rows), 1024, 0, stream, logits, vocab, tokens, positions),
                  "ChooseTokens");
}

Status NegativeLogLikelihoods(const float* logits, const int32_t* targets, int tokens, int vocab, double* nll,
                              cudaStream_t stream) {
  NllKernel<<<tokens, 512, 0, stream>>>(logits, targets, vocab, nll);
  return Launched("NegativeLogLikelihoods");
}

}  // namespace uaqf::cuda
