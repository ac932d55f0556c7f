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

__device__ __forceinline__ void Store8(float* p, const Eight& e) {
  *reinterpret_cast<float4*>(p) = {e.v[0], e.v[1], e.v[2], e.v[3]};
  *(reinterpret_cast<float4*>(p) + 1) = {e.v[4], e.v[5], e.v[6], e.v[7]};
}

template <bool kMaximum>
__device__ float BlockReduce(float value) {
  __shared__ float scratch[kThreads / 32];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(~0u, value, step);
    value = kMaximum ? fmaxf(value, other) : value + other;
  }
  __syncthreads();  // an earlier reduction may still be read
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  float result = scratch[0];
#pragma unroll
  for (int w = 1; w < kThreads / 32; ++w) result = kMaximum ? fmaxf(result, scratch[w]) : result + scratch[w];
  return result;
}

__device__ float NormFactor(const float* row, int hidden, float epsilon) {
  float squares = 0;
  for (int i = threadIdx.x * 8; i < hidden; i += kThreads * 8) {
    const Eight e = Load8(row + i);
#pragma unroll
    for (int c = 0; c < 8; ++c) squares = fmaf(e.v[c], e.v[c], squares);
  }
  return 1.0f / sqrtf(BlockReduce<false>(squares) / static_cast<float>(hidden) + epsilon);
}

__device__ __forceinline__ Eight Scale(Eight e, const float* weight, float factor) {
  const Eight w = Load8(weight);
#pragma unroll
  for (int c = 0; c < 8; ++c) e.v[c] = e.v[c] * factor * w.v[c];
  return e;
}

__device__ __forceinline__ float AbsMax8(const Eight& e, float maximum) {
#pragma unroll
  for (int c = 0; c < 8; ++c) maximum = fmaxf(maximum, fabsf(e.v[c]));
  return maximum;
}

__device__ __forceinline__ void StoreCodes(int8_t* p, const Eight& e, float scale) {
  union {
    int8_t codes[8];
    uint2 packed;
  } out;
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    out.codes[c] = static_cast<int8_t>(fminf(fmaxf(rintf(__fdiv_rn(e.v[c], scale)), -127.0f), 127.0f));
  }
  *reinterpret_cast<uint2*>(p) = out.packed;
}

__global__ void EmbedKernel(MatrixView m, const int32_t* ids, float* residual) {
  const auto* row = reinterpret_cast<const __half*>(m.data + ids[blockIdx.x] * m.row_bytes);
  float* out = residual + int64_t{blockIdx.x} * m.spec.cols;
  for (int i = threadIdx.x * 8; i < m.spec.cols; i += kThreads * 8) Store8(out + i, Load8(row + i));
}

__global__ void NormKernel(const float* residual, const float* weight, int hidden, float epsilon, __half* out) {
  const float* row = residual + int64_t{blockIdx.x} * hidden;
  const float factor = NormFactor(row, hidden, epsilon);
  for (int i = threadIdx.x * 8; i < hidden; i += kThreads * 8) {
    Store8(out + int64_t{blockIdx.x} * hidden + i, Scale(Load8(row + i), weight + i, factor));
  }
}

__global__ void NormQuantizeKernel(const float* residual, const float* weight, int hidden, float epsilon, int8_t* codes,
                                   float* scales) {
  const float* row = residual + int64_t{blockIdx.x} * hidden;
  const float factor = NormFactor(row, hidden, epsilon);
  float maximum = 0;
  for (int i = threadIdx.x * 8; i < hidden; i += kThreads * 8) {
    maximum = AbsMax8(Scale(Load8(row + i), weight + i, factor), maximum);
  }
  const float scale = fmaxf(BlockReduce<true>(maximum), 1e-5f) / 127.0f;
  for (int i = threadIdx.x * 8; i < hidden; i += kThreads * 8) {
    StoreCodes(codes + int64_t{blockIdx.x} * hidden + i, Scale(Load8(row + i), weight + i, factor), scale);
  }
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
}

__global__ void QuantizeKernel(const __half* values, int width, int8_t* codes, float* scales) {
  const __half* row = values + int64_t{blockIdx.x} * width;
  float maximum = 0;
  for (int i = threadIdx.x * 8; i < width; i += kThreads * 8) maximum = AbsMax8(Load8(row + i), maximum);
  const float scale = fmaxf(BlockReduce<true>(maximum), 1e-5f) / 127.0f;
  for (int i = threadIdx.x * 8; i < width; i += kThreads * 8) {
    StoreCodes(codes + int64_t{blockIdx.x} * width + i, Load8(row + i), scale);
  }
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
}

__global__ void ScaleInt32Kernel(const int32_t* sums, const float* row_scales, const float* token_scales, int rows,
                                 __half* out) {
  const int64_t base = int64_t{blockIdx.y} * rows;
  const int i = (blockIdx.x * kThreads + threadIdx.x) * 8;
  if (i >= rows) return;
  const int4 a = *reinterpret_cast<const int4*>(sums + base + i);
  const int4 b = *reinterpret_cast<const int4*>(sums + base + i + 4);
  const int values[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
  const Eight scale = Load8(row_scales + i);
  const float token = token_scales[blockIdx.y];
  Eight e;
#pragma unroll
  for (int c = 0; c < 8; ++c) e.v[c] = static_cast<float>(values[c]) * scale.v[c] * token;
  Store8(out + base + i, e);
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

__global__ void SiluKernel(const __half* gate_up, const float* bias, int ff, __half* out) {
  const int i = (blockIdx.x * kThreads + threadIdx.x) * 8;
  if (i >= ff) return;
  const __half* row = gate_up + int64_t{blockIdx.y} * 2 * ff;
  Eight gate = Load8(row + i);
  Eight up = Load8(row + ff + i);
  if (bias != nullptr) {
    const Eight bias_gate = Load8(bias + i);
    const Eight bias_up = Load8(bias + ff + i);
    for (int c = 0; c < 8; ++c) {
      gate.v[c] += bias_gate.v[c];
      up.v[c] += bias_up.v[c];
    }
  }
#pragma unroll
  for (int c = 0; c < 8; ++c) gate.v[c] = gate.v[c] / (1.0f + expf(-gate.v[c])) * up.v[c];
  Store8(out + int64_t{blockIdx.y} * ff + i, gate);
}

__global__ void AddKernel(const __half* values, const float* bias, int width, float* residual) {
  const int i = (blockIdx.x * kThreads + threadIdx.x) * 8;
  if (i >= width) return;
  const int64_t at = int64_t{blockIdx.y} * width + i;
  const Eight value = Load8(values + at);
  Eight sum = Load8(residual + at);
  const Eight extra = bias != nullptr ? Load8(bias + i) : Eight{};
#pragma unroll
  for (int c = 0; c < 8; ++c) sum.v[c] += value.v[c] + extra.v[c];
  Store8(residual + at, sum);
}

Status CheckSizes(int tokens, int width, const char* what) {
  if (tokens >= 1 && tokens <= 65535 && width >= 8 && width % 8 == 0) return {};
  return MakeError(cudaErrorInvalidValue, "%s: got %d tokens of width %d, expected 1 to 65535 and a multiple of 8",
                   what, tokens, width);
}

dim3 Grid(int tokens, int eighths) { return dim3((eighths + kThreads - 1) / kThreads, tokens); }

}  // namespace

Status EmbedTokens(const MatrixView& embedding, const int32_t* ids, int tokens, float* residual, cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, embedding.spec.cols, "embedding"));
  EmbedKernel<<<tokens, kThreads, 0, stream>>>(embedding, ids, residual);
  return FromCuda(cudaGetLastError(), "embedding");
}

Status RmsNormRows(const float* residual, const float* weight, int tokens, int hidden, float epsilon, __half* out,
                   cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, hidden, "norm"));
  NormKernel<<<tokens, kThreads, 0, stream>>>(residual, weight, hidden, epsilon, out);
  return FromCuda(cudaGetLastError(), "norm");
}

Status QuantizeRows(const __half* values, int tokens, int width, int8_t* codes, float* scales, cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, width, "quantization"));
  QuantizeKernel<<<tokens, kThreads, 0, stream>>>(values, width, codes, scales);
  return FromCuda(cudaGetLastError(), "quantization");
}

Status RmsNormQuantizeRows(const float* residual, const float* weight, int tokens, int hidden, float epsilon,
                           int8_t* codes, float* scales, cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, hidden, "norm"));
  NormQuantizeKernel<<<tokens, kThreads, 0, stream>>>(residual, weight, hidden, epsilon, codes, scales);
  return FromCuda(cudaGetLastError(), "norm and quantization");
}

Status ScaleInt32(const int32_t* sums, const float* row_scales, const float* token_scales, int tokens, int rows,
                  __half* out, cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, rows, "scaling"));
  ScaleInt32Kernel<<<Grid(tokens, rows / 8), kThreads, 0, stream>>>(sums, row_scales, token_scales, rows, out);
  return FromCuda(cudaGetLastError(), "scaling");
}

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

Status SiluMulRows(const __half* gate_up, const float* bias, int tokens, int ff, __half* out, cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, ff, "SiLU"));
  SiluKernel<<<Grid(tokens, ff / 8), kThreads, 0, stream>>>(gate_up, bias, ff, out);
  return FromCuda(cudaGetLastError(), "SiLU");
}

Status AddResidual(const __half* values, const float* bias, int tokens, int width, float* residual,
                   cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckSizes(tokens, width, "residual"));
  AddKernel<<<Grid(tokens, width / 8), kThreads, 0, stream>>>(values, bias, width, residual);
  return FromCuda(cudaGetLastError(), "residual");
}

}  // namespace uaqf::cuda
