// Inputs of products that ask for more than FP16 rows as they are, or a scale for each token: another order of columns,
// rounded groups, one scale for many tokens.
#include "kernels/cuda/prefill/launch.cuh"
#include "kernels/cuda/prefill/put.cuh"
#include "kernels/cuda/reduce.cuh"

namespace uaqf::cuda {
namespace {

using namespace prefill;

constexpr int kMostScaleBlocks = 512;

// The largest of a group of kGroup columns, of which a lane has four; whole warp.
template <int kGroup>
__device__ __forceinline__ float GroupMax(float value) {
#pragma unroll
  for (int step = 1; step < kGroup / 4; step *= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, step));
  return value;
}

template <int kGroup>
__device__ __forceinline__ float4 Round(float4 v, bool int8, float step) {
  const float scale = fmaxf(GroupMax<kGroup>(AbsMax(v)), 1e-5f) * (int8 ? 1 / 127.0f : step);
  const float least = int8 ? -127.0f : -8.0f;
  const float most = int8 ? 127.0f : 7.0f;
  const Divisor by = DivideBy(scale);
  const auto one = [&](float value) { return fminf(fmaxf(rintf(Quotient(value, by)), least), most) * scale; };
  return {one(v.x), one(v.y), one(v.z), one(v.w)};
}

template <int kGroup>
__global__ void __launch_bounds__(kThreads)
    OrderKernel(const __half* in, RowOrdering ordering, Rounding rounding, Fp16Rows out) {
  WaitForPrevious();
  const int64_t token = blockIdx.x;
  const __half* row = in + token * ordering.inputs;
  const int int8_from = ordering.inputs - rounding.int8_inputs;
  for (int i = threadIdx.x; i < PaddedWidth(ordering.cols) / 4; i += kThreads) {
    float values[4];
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const int column = i * 4 + c;
      values[c] = 0;
      if (column >= ordering.cols) continue;
      values[c] = __half2float(row[ordering.gather == nullptr ? column : ordering.gather[column]]);
    }
    float4 v = {values[0], values[1], values[2], values[3]};
    if constexpr (kGroup > 0) v = Round<kGroup>(v, i * 4 >= int8_from, rounding.step);
    if (out.padded_tokens > 0 || i * 4 < ordering.cols) Put(out, token, ordering.cols / 4, i, v);
  }
}

// The bits of values that are not negative are in their order.
__global__ void LargestKernel(const __half* in, int64_t quads, float* largest) {
  __shared__ float scratch[32];
  WaitForPrevious();
  float most = 0;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < quads; i += int64_t{gridDim.x} * kThreads) {
    most = fmaxf(most, AbsMax(Unpack(reinterpret_cast<const uint2*>(in)[i])));
  }
  most = BlockMax(most, scratch);
  if (threadIdx.x == 0) atomicMax(reinterpret_cast<int*>(largest), __float_as_int(most));
}

__global__ void ScaleKernel(float* largest) { *largest = ScaleOf(*largest); }

__global__ void __launch_bounds__(kThreads)
    QuantizeByKernel(const __half* in, int quads, const float* by, Int8Rows out) {
  WaitForPrevious();
  const int64_t token = blockIdx.x;
  const float scale = *by;
  if (threadIdx.x == 0) out.scales[token] = scale;
  const Divisor divisor = DivideBy(scale);
  const float most = 127.0f * scale;
  const auto* row = reinterpret_cast<const uint2*>(in) + token * quads;
  const auto cut = [&](float value) { return fminf(fmaxf(value, -most), most); };
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    const float4 v = Unpack(row[i]);
    Put(out, token, quads, i, {cut(v.x), cut(v.y), cut(v.z), cut(v.w)}, divisor);
  }
  PutPadding(out, token, quads);
}

}  // namespace

Status OrderRows(const __half* in, int tokens, const RowOrdering& ordering, const Rounding& rounding, Fp16Rows out,
                 cudaStream_t stream) {
  if (rounding.group != 0 && rounding.group != 64 && rounding.group != 128) {
    return MakeError(cudaErrorInvalidValue, "got groups of %d columns to round, expected 64 or 128", rounding.group);
  }
  const auto kernel = rounding.group == 0 ? OrderKernel<0> : rounding.group == 64 ? OrderKernel<64> : OrderKernel<128>;
  return FromCuda(LaunchAfter(kernel, dim3(tokens), kThreads, 0, stream, in, ordering, rounding, out), "OrderRows");
}

Status ScaleOfAll(const __half* in, int tokens, int width, float* scale, cudaStream_t stream) {
  UAQF_CUDA_RETURN(cudaMemsetAsync(scale, 0, sizeof(float), stream));
  const int64_t quads = int64_t{tokens} * width / 4;
  const auto blocks = static_cast<unsigned>(min(int64_t{kMostScaleBlocks}, (quads + kThreads - 1) / kThreads));
  LargestKernel<<<blocks, kThreads, 0, stream>>>(in, quads, scale);
  ScaleKernel<<<1, 1, 0, stream>>>(scale);
  return FromCuda(cudaGetLastError(), "ScaleOfAll");
}

Status QuantizeRowsBy(const __half* in, int tokens, int width, const float* scale, Int8Rows out, cudaStream_t stream) {
  return FromCuda(LaunchAfter(QuantizeByKernel, dim3(tokens), kThreads, 0, stream, in, width / 4, scale, out),
                  "QuantizeRowsBy");
}

}  // namespace uaqf::cuda
