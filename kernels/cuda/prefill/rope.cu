#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/launch.cuh"

namespace uaqf::cuda {

namespace {

constexpr int kThreads = 256;

struct Eight {
  float v[8];
};

__device__ __forceinline__ Eight Load8(const __half* p) {
  const uint4 packed = *reinterpret_cast<const uint4*>(p);
  const auto* pairs = reinterpret_cast<const __half2*>(&packed);
  Eight out;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    out.v[2 * i] = pair.x;
    out.v[2 * i + 1] = pair.y;
  }
  return out;
}

__device__ __forceinline__ Eight Load8(const float* p) {
  const float4 a = *reinterpret_cast<const float4*>(p);
  const float4 b = *(reinterpret_cast<const float4*>(p) + 1);
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

__device__ __forceinline__ void Store8(__half* p, const Eight& e) {
  uint4 packed;
  auto* pairs = reinterpret_cast<__half2*>(&packed);
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2half2_rn(e.v[2 * i], e.v[2 * i + 1]);
  *reinterpret_cast<uint4*>(p) = packed;
}

// A thread turns 8 pairs of one head, or copies 8 values of one.
__global__ void RopeKernel(RopeShape s, int first, const float* cosine, const float* sine, const float* bias,
                           __half* qkv, __half* keys, __half* values) {
  prefill::WaitForPrevious();
  const int half = s.head_dim / 2;
  const int per_head = half / 8;
  const int index = blockIdx.x * kThreads + threadIdx.x;
  const int head = index / per_head;
  if (head >= s.heads + 2 * s.kv_heads) return;
  const int dim = index % per_head * 8;
  const int width = (s.heads + 2 * s.kv_heads) * s.head_dim;
  const int column = head * s.head_dim + dim;
  const int position = first + blockIdx.y;
  __half* source = qkv + int64_t{blockIdx.y} * width + column;
  Eight low = Load8(source);
  Eight high = Load8(source + half);
  if (bias != nullptr) {
    const Eight bias_low = Load8(bias + column);
    const Eight bias_high = Load8(bias + column + half);
    for (int c = 0; c < 8; ++c) {
      low.v[c] += bias_low.v[c];
      high.v[c] += bias_high.v[c];
    }
  }
  const bool is_value = head >= s.heads + s.kv_heads;
  if (!is_value) {
    const Eight co = Load8(cosine + int64_t{position} * half + dim);
    const Eight si = Load8(sine + int64_t{position} * half + dim);
    for (int c = 0; c < 8; ++c) {
      const float a = low.v[c];
      const float b = high.v[c];
      low.v[c] = a * co.v[c] - b * si.v[c];
      high.v[c] = b * co.v[c] + a * si.v[c];
    }
  }
  __half* target = source;
  if (head >= s.heads) {
    const int64_t kv = is_value ? head - s.heads - s.kv_heads : head - s.heads;
    target = (is_value ? values : keys) + (kv * s.capacity + position) * s.head_dim + dim;
  }
  Store8(target, low);
  Store8(target + half, high);
}

Status CheckSizes(int tokens, int width, const char* what) {
  if (tokens >= 1 && tokens <= 65535 && width >= 8 && width % 8 == 0) return {};
  return MakeError(cudaErrorInvalidValue, "%s: got %d tokens of width %d, expected 1 to 65535 and a multiple of 8",
                   what, tokens, width);
}

dim3 Grid(int tokens, int eighths) { return dim3((eighths + kThreads - 1) / kThreads, tokens); }

}  // namespace

Status RopeAndCache(const RopeShape& shape, int first, int tokens, const float* cosine, const float* sine,
                    const float* bias, __half* qkv, __half* keys, __half* values, cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, shape.head_dim / 2, "RoPE"));
  if (first < 0 || first + tokens > shape.capacity) {
    return MakeError(cudaErrorInvalidValue, "RoPE: got positions %d to %d of %d", first, first + tokens,
                     shape.capacity);
  }
  const int items = (shape.heads + 2 * shape.kv_heads) * (shape.head_dim / 16);
  return FromCuda(prefill::LaunchAfter(RopeKernel, Grid(tokens, items), kThreads, 0, stream, shape, first, cosine, sine,
                                       bias, qkv, keys, values),
                  "RoPE");
}

}  // namespace uaqf::cuda
