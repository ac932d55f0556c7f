#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/launch.cuh"
#include "kernels/cuda/prefill/put.cuh"
#include "kernels/cuda/reduce.cuh"

namespace uaqf::cuda {
namespace {

using namespace prefill;

constexpr int kMaxNormWidth = 8192;
// A thread of a norm keeps its part of the row in registers between the passes: 4 columns at a time, so many times.
// The smaller number leaves room for 4 blocks on a multiprocessor, so that 512 tokens are one wave.
constexpr int kMostQuads = kMaxNormWidth / 4 / kThreads;
constexpr int kFewQuads = kMostQuads / 2;
// A quantizer keeps so many times 8 columns of a row in registers.
constexpr int kHeldEights = 6;

__device__ __forceinline__ float4 Add(float4 v, const float* bias, int i) {
  if (bias == nullptr) return v;
  const float4 b = reinterpret_cast<const float4*>(bias)[i];
  return {v.x + b.x, v.y + b.y, v.z + b.z, v.w + b.w};
}

__global__ void EmbedKernel(const __half* table, int64_t stride, const int32_t* ids, int quads, float* residual) {
  const auto* row = reinterpret_cast<const uint2*>(table + ids[blockIdx.x] * stride);
  auto* out = reinterpret_cast<float4*>(residual) + static_cast<int64_t>(blockIdx.x) * quads;
  for (int i = threadIdx.x; i < quads; i += kThreads) out[i] = Unpack(row[i]);
}

template <bool kInt8, int kNormQuads>
__global__ void __launch_bounds__(kThreads, kNormQuads == kFewQuads ? 4 : 1)
    NormKernel(const float* in, const float* weight, int width, float epsilon, Fp16Rows out, Int8Rows int8) {
  __shared__ float2 scratch[32];
  const int quads = width / 4;
  float4 w[kNormQuads];
#pragma unroll
  for (int j = 0; j < kNormQuads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    w[j] = i < quads ? reinterpret_cast<const float4*>(weight)[i] : float4{};
  }
  WaitForPrevious();
  const int64_t token = blockIdx.x;
  const auto* row = reinterpret_cast<const float4*>(in) + token * quads;
  float4 v[kNormQuads];
  float2 found = {};  // the sum of squares, and the largest value before it is divided by the norm
#pragma unroll
  for (int j = 0; j < kNormQuads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    v[j] = i < quads ? row[i] : float4{};
    found.x += (v[j].x * v[j].x + v[j].y * v[j].y) + (v[j].z * v[j].z + v[j].w * v[j].w);
    v[j] = {v[j].x * w[j].x, v[j].y * w[j].y, v[j].z * w[j].z, v[j].w * w[j].w};
    if (kInt8) found.y = fmaxf(found.y, AbsMax(v[j]));
  }
  found = BlockSumAndMax(found, scratch);
  const float factor = 1.0f / sqrtf(found.x / static_cast<float>(width) + epsilon);
  const float scale = kInt8 ? ScaleOf(found.y * factor) : 1.0f;
  if (kInt8 && threadIdx.x == 0) int8.scales[token] = scale;
  const Divisor by = DivideBy(scale);
#pragma unroll
  for (int j = 0; j < kNormQuads; ++j) {
    const int i = threadIdx.x + j * kThreads;
    if (i >= quads) continue;
    const float4 normed = {v[j].x * factor, v[j].y * factor, v[j].z * factor, v[j].w * factor};
    if (kInt8) {
      Put(int8, token, quads, i, normed, by);
    } else {
      Put(out, token, quads, i, normed);
    }
  }
  if (kInt8) {
    PutPadding(int8, token, quads);
  } else {
    PutPadding(out, token, quads);
  }
}

// Any row that can be read twice: once for its largest value, once for its codes.
template <class Read>
__device__ __forceinline__ void QuantizeRow(const Read& read, int quads, int64_t token, Int8Rows out, float* scratch) {
  float most = 0;
  for (int i = threadIdx.x; i < quads; i += kThreads) most = fmaxf(most, AbsMax(read(i)));
  const float scale = ScaleOf(BlockMax(most, scratch));
  if (threadIdx.x == 0) out.scales[token] = scale;
  const Divisor by = DivideBy(scale);
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    Put(out, token, quads, i, read(i), by);
  }
  PutPadding(out, token, quads);
}

__global__ void QuantizeKernel(const __half* in, int quads, Int8Rows out) {
  __shared__ float scratch[32];
  WaitForPrevious();
  const int64_t token = blockIdx.x;
  const auto* row = reinterpret_cast<const uint2*>(in) + token * quads;
  QuantizeRow([&](int i) { return Unpack(row[i]); }, quads, token, out, scratch);
}

// Columns 8 i .. 8 i + 7 and those of three neighbours, who call it together. In the order of staged.h each of the four
// has a word of two chunks; they change them so that each writes two words of one, and all four a sector.
__device__ __forceinline__ void PutEight(const Int8Rows& out, int64_t token, int eights, int i, float4 a, float4 b,
                                         const Divisor& by) {
  if (out.padded_tokens == 0) {
    if (i >= eights) return;
    const uint2 codes = {Codes(a.x, a.y, a.z, a.w, by), Codes(b.x, b.y, b.z, b.w, by)};
    reinterpret_cast<uint2*>(out.codes)[token * eights + i] = codes;
    return;
  }
  const int t = i % 4;
  const uint32_t word[2] = {Codes(a.x, a.z, a.y, a.w, by), Codes(b.x, b.z, b.y, b.w, by)};
  // Of chunk t / 2: words t % 2 and t % 2 + 2.
  const uint32_t theirs = __shfl_xor_sync(~0u, t < 2 ? word[1] : word[0], 2);
  const uint32_t low = t < 2 ? word[0] : theirs;
  const uint32_t high = t < 2 ? theirs : word[1];
  const uint32_t other = __shfl_xor_sync(~0u, t % 2 == 0 ? high : low, 1);
  if (i >= PaddedWidth(eights * 8) / 8) return;
  const uint2 pair = t % 2 == 0 ? uint2{low, other} : uint2{other, high};
  const int64_t at = StagedWord(out.padded_tokens, static_cast<int>(token), i / 16, i % 16 / 4 * 2 + t / 2, t % 2 * 2);
  *reinterpret_cast<uint2*>(out.codes + at) = pair;
}

// The same with the row in registers, read once: at most kHeldEights * 8 * kThreads columns.
__global__ void __launch_bounds__(kThreads, 4) QuantizeHeldKernel(const __half* in, int quads, Int8Rows out) {
  __shared__ float scratch[32];
  WaitForPrevious();
  const int64_t token = blockIdx.x;
  const int eights = quads / 2;
  const auto* row = reinterpret_cast<const uint4*>(in) + token * eights;
  uint4 held[kHeldEights];
  float most = 0;
#pragma unroll
  for (int j = 0; j < kHeldEights; ++j) {
    const int i = threadIdx.x + j * kThreads;
    held[j] = i < eights ? row[i] : uint4{};
  }
#pragma unroll
  for (int j = 0; j < kHeldEights; ++j) {
    most = fmaxf(most, fmaxf(AbsMax(Unpack({held[j].x, held[j].y})), AbsMax(Unpack({held[j].z, held[j].w}))));
  }
  const float scale = ScaleOf(BlockMax(most, scratch));
  if (threadIdx.x == 0) out.scales[token] = scale;
  const Divisor by = DivideBy(scale);
#pragma unroll
  for (int j = 0; j < kHeldEights; ++j) {
    // Zeros past the end of the row.
    PutEight(out, token, eights, threadIdx.x + j * kThreads, Unpack({held[j].x, held[j].y}),
             Unpack({held[j].z, held[j].w}), by);
  }
}

__global__ void CopyKernel(const __half* in, int quads, Fp16Rows out) {
  WaitForPrevious();
  const int64_t token = blockIdx.x;
  const auto* row = reinterpret_cast<const uint2*>(in) + token * quads;
  for (int i = threadIdx.x; i < quads; i += kThreads) Put(out, token, quads, i, Unpack(row[i]));
  PutPadding(out, token, quads);
}

__device__ __forceinline__ float Silu(float x) { return x / (1.0f + __expf(-x)); }

struct GatedRow {
  const uint2* row;
  const float* bias;
  int quads;
  __device__ __forceinline__ float4 operator()(int i) const {
    const float4 g = Add(Unpack(row[i]), bias, i);
    const float4 u = Add(Unpack(row[quads + i]), bias, quads + i);
    return {Silu(g.x) * u.x, Silu(g.y) * u.y, Silu(g.z) * u.z, Silu(g.w) * u.w};
  }
};

template <bool kInt8>
__global__ void GatedKernel(const __half* gate_up, const float* bias, int quads, Fp16Rows out, Int8Rows int8) {
  __shared__ float scratch[32];
  const int64_t token = blockIdx.x;
  const GatedRow read{reinterpret_cast<const uint2*>(gate_up) + token * 2 * quads, bias, quads};
  if (kInt8) {
    QuantizeRow(read, quads, token, int8, scratch);
  } else {
    for (int i = threadIdx.x; i < quads; i += kThreads) Put(out, token, quads, i, read(i));
    PutPadding(out, token, quads);
  }
}

__global__ void AddKernel(float* residual, const __half* in, const float* bias, int quads) {
  auto* out = reinterpret_cast<float4*>(residual) + static_cast<int64_t>(blockIdx.x) * quads;
  const auto* row = reinterpret_cast<const uint2*>(in) + static_cast<int64_t>(blockIdx.x) * quads;
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    const float4 v = Add(Unpack(row[i]), bias, i);
    const float4 r = out[i];
    out[i] = {r.x + v.x, r.y + v.y, r.z + v.z, r.w + v.w};
  }
}

__global__ void DequantizeKernel(const int32_t* sums, const float* row_scales, const float* token_scales, int quads,
                                 __half* out, int64_t stride) {
  const int64_t token = blockIdx.x;
  const float scale = token_scales[token];
  const auto* row = reinterpret_cast<const int4*>(sums) + token * quads;
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    const int4 sum = row[i];
    const float4 w = reinterpret_cast<const float4*>(row_scales)[i];
    const float4 v = {static_cast<float>(sum.x) * w.x * scale, static_cast<float>(sum.y) * w.y * scale,
                      static_cast<float>(sum.z) * w.z * scale, static_cast<float>(sum.w) * w.w * scale};
    *reinterpret_cast<uint2*>(out + token * stride + i * 4) = Pack(v);
  }
}

Status Launched(const char* what) { return FromCuda(cudaGetLastError(), what); }

}  // namespace

Status Embed(const __half* table, int64_t stride, const int32_t* ids, int tokens, int width, float* residual,
             cudaStream_t stream) {
  EmbedKernel<<<tokens, kThreads, 0, stream>>>(table, stride, ids, width / 4, residual);
  return Launched("Embed");
}

Status NormFp16(const float* in, const float* weight, int tokens, int width, float epsilon, Fp16Rows out,
                cudaStream_t stream) {
  const auto kernel = width <= kFewQuads * 4 * kThreads ? NormKernel<false, kFewQuads> : NormKernel<false, kMostQuads>;
  return FromCuda(LaunchAfter(kernel, dim3(tokens), kThreads, 0, stream, in, weight, width, epsilon, out, Int8Rows{}),
                  "NormFp16");
}

Status NormInt8(const float* in, const float* weight, int tokens, int width, float epsilon, Int8Rows out,
                cudaStream_t stream) {
  const auto kernel = width <= kFewQuads * 4 * kThreads ? NormKernel<true, kFewQuads> : NormKernel<true, kMostQuads>;
  return FromCuda(LaunchAfter(kernel, dim3(tokens), kThreads, 0, stream, in, weight, width, epsilon, Fp16Rows{}, out),
                  "NormInt8");
}

Status QuantizeRows(const __half* in, int tokens, int width, Int8Rows out, cudaStream_t stream) {
  const auto kernel = width <= kHeldEights * 8 * kThreads ? QuantizeHeldKernel : QuantizeKernel;
  return FromCuda(LaunchAfter(kernel, dim3(tokens), kThreads, 0, stream, in, width / 4, out), "QuantizeRows");
}

Status CopyRows(const __half* in, int tokens, int width, Fp16Rows out, cudaStream_t stream) {
  return FromCuda(LaunchAfter(CopyKernel, dim3(tokens), kThreads, 0, stream, in, width / 4, out), "CopyRows");
}

Status GatedFp16(const __half* gate_up, const float* bias, int tokens, int width, Fp16Rows out, cudaStream_t stream) {
  GatedKernel<false><<<tokens, kThreads, 0, stream>>>(gate_up, bias, width / 4, out, {});
  return Launched("GatedFp16");
}

Status GatedInt8(const __half* gate_up, const float* bias, int tokens, int width, Int8Rows out, cudaStream_t stream) {
  GatedKernel<true><<<tokens, kThreads, 0, stream>>>(gate_up, bias, width / 4, {}, out);
  return Launched("GatedInt8");
}

Status AddTo(float* residual, const __half* in, const float* bias, int tokens, int width, cudaStream_t stream) {
  AddKernel<<<tokens, kThreads, 0, stream>>>(residual, in, bias, width / 4);
  return Launched("AddTo");
}

Status Dequantize(const int32_t* sums, const float* row_scales, const float* token_scales, int tokens, int rows,
                  __half* out, int64_t stride, cudaStream_t stream) {
  DequantizeKernel<<<tokens, kThreads, 0, stream>>>(sums, row_scales, token_scales, rows / 4, out, stride);
  return Launched("Dequantize");
}

}  // namespace uaqf::cuda
