#include "kernels/cuda/reduce.cuh"
#include "worker/engine/cuda/make_weights.h"

namespace uaqf::engine::device {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxBlocks = 4096;

int Blocks(int64_t count) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

__global__ void ToFp16Kernel(const float* in, int64_t count, __half* out, int32_t* bad) {
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    const __half value = __float2half_rn(in[i]);
    if (__hisinf(value) != 0 || __hisnan(value)) *bad = 1;
    out[i] = value;
  }
}

__global__ void FillKernel(model::RandomTensor tensor, uint64_t first, int64_t count, __half* out) {
  const int64_t step = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    out[i] = __float2half_rn(model::ValueAt(tensor, first + static_cast<uint64_t>(i)));
  }
}

__device__ __forceinline__ float ScaleOf(float absmax, int bits) {
  return __fdiv_rn(fmaxf(absmax, 1e-5f), static_cast<float>((1 << (bits - 1)) - 1));
}

__device__ __forceinline__ int8_t Code(__half weight, float scale) {
  return static_cast<int8_t>(rintf(__fdiv_rn(__half2float(weight), scale)));
}

__global__ void RowAbsMaxKernel(const __half* weights, int cols, float* row_absmax) {
  __shared__ float scratch[32];
  const __half* row = weights + static_cast<int64_t>(blockIdx.x) * cols;
  float most = 0;
  for (int i = threadIdx.x; i < cols; i += kThreads) most = fmaxf(most, fabsf(__half2float(row[i])));
  most = cuda::BlockMax(most, scratch);
  if (threadIdx.x == 0) row_absmax[blockIdx.x] = most;
}

// One block: the scale of the whole matrix, or every row's.
__global__ void ScalesKernel(const float* row_absmax, int rows, int bits, bool per_tensor, float* scales) {
  __shared__ float scratch[32];
  float most = 0;
  for (int r = threadIdx.x; r < rows; r += kThreads) {
    most = fmaxf(most, row_absmax[r]);
    if (!per_tensor) scales[r] = ScaleOf(row_absmax[r], bits);
  }
  most = cuda::BlockMax(most, scratch);
  if (per_tensor && threadIdx.x == 0) scales[0] = ScaleOf(most, bits);
}

__global__ void EncodeKernel(const __half* weights, int cols, const float* scales, bool per_tensor, int8_t* codes) {
  const float scale = scales[per_tensor ? 0 : blockIdx.x];
  const int64_t first = static_cast<int64_t>(blockIdx.x) * cols;
  for (int i = threadIdx.x; i < cols; i += kThreads) codes[first + i] = Code(weights[first + i], scale);
}

// A warp has a group; groups follow each other in memory, since they divide the row.
__global__ void EncodeGroupsKernel(const __half* weights, int64_t groups, int size, int bits, __half* scales,
                                   int8_t* codes) {
  const int lane = threadIdx.x % 32;
  const int64_t step = int64_t{gridDim.x} * (kThreads / 32);
  for (int64_t g = int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32; g < groups; g += step) {
    float most = 0;
    for (int i = lane; i < size; i += 32) most = fmaxf(most, fabsf(__half2float(weights[g * size + i])));
#pragma unroll
    for (int s = 16; s > 0; s /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, s));
    const __half rounded = __float2half_rn(ScaleOf(most, bits));
    if (lane == 0) scales[g] = rounded;
    for (int i = lane; i < size; i += 32) codes[g * size + i] = Code(weights[g * size + i], __half2float(rounded));
  }
}

cuda::Status Launched(const char* what) { return cuda::FromCuda(cudaGetLastError(), what); }

}  // namespace

cuda::Status ToFp16(const float* in, int64_t count, __half* out, int32_t* bad, cudaStream_t stream) {
  ToFp16Kernel<<<Blocks(count), kThreads, 0, stream>>>(in, count, out, bad);
  return Launched("ToFp16");
}

cuda::Status Fill(const model::RandomTensor& tensor, uint64_t first, int64_t count, __half* out, cudaStream_t stream) {
  FillKernel<<<Blocks(count), kThreads, 0, stream>>>(tensor, first, count, out);
  return Launched("Fill");
}

cuda::Status QuantizeRtn(const quantize::Variant& variant, const __half* weights, int rows, int cols, RtnOutput out,
                         cudaStream_t stream) {
  const int bits = variant.weight_bits;
  if (variant.granularity == quantize::Granularity::kGroup) {
    const int size = static_cast<int>(variant.group_size);
    const int64_t groups = int64_t{rows} * (cols / size);
    EncodeGroupsKernel<<<Blocks(groups * 32), kThreads, 0, stream>>>(weights, groups, size, bits, out.group_scales,
                                                                     out.codes);
    return Launched("QuantizeRtn by groups");
  }
  const bool per_tensor = variant.granularity == quantize::Granularity::kTensor;
  RowAbsMaxKernel<<<rows, kThreads, 0, stream>>>(weights, cols, out.row_absmax);
  ScalesKernel<<<1, kThreads, 0, stream>>>(out.row_absmax, rows, bits, per_tensor, out.scales);
  EncodeKernel<<<rows, kThreads, 0, stream>>>(weights, cols, out.scales, per_tensor, out.codes);
  return Launched("QuantizeRtn");
}

}  // namespace uaqf::engine::device
