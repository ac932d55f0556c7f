// Between the products of a prefill and a quantized cache. Neighbouring lanes share a row, so that they find its least
// and largest value by shuffles; a lane has four pairs of dimensions that RoPE turns.
#include "kernels/cuda/decode/kv_rows.cuh"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/launch.cuh"

namespace uaqf::cuda {

namespace {

constexpr int kThreads = 256;

struct Launch {
  RopeShape s;
  int first;  // position
  int count;
  const float* cosine;
  const float* sine;
  QuantizedCache cache;
  __half* keys;
  __half* values;
};

// Four pairs in the order of codes: pair i is v[2 i] and v[2 i + 1].
struct Pairs {
  float v[8];
};

__device__ __forceinline__ void Put4(float4 from, int parity, Pairs& to) {
  to.v[parity] = from.x;
  to.v[parity + 2] = from.y;
  to.v[parity + 4] = from.z;
  to.v[parity + 6] = from.w;
}

__device__ __forceinline__ float4 LoadHalf4(const __half* p) {
  const uint2 bits = *reinterpret_cast<const uint2*>(p);
  const float2 low = __half22float2(*reinterpret_cast<const __half2*>(&bits.x));
  const float2 high = __half22float2(*reinterpret_cast<const __half2*>(&bits.y));
  return {low.x, low.y, high.x, high.y};
}

// Values at `source` and half a head further.
__device__ __forceinline__ Pairs LoadPairs(const __half* source, int half) {
  Pairs out;
  Put4(LoadHalf4(source), 0, out);
  Put4(LoadHalf4(source + half), 1, out);
  return out;
}

__device__ __forceinline__ void StorePairs(__half* target, int half, const Pairs& e) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const __half2 low = __floats2half2_rn(e.v[i], e.v[i + 2]);
    const __half2 high = __floats2half2_rn(e.v[i + 4], e.v[i + 6]);
    *reinterpret_cast<uint2*>(target + i * half) = {*reinterpret_cast<const uint32_t*>(&low),
                                                    *reinterpret_cast<const uint32_t*>(&high)};
  }
}

__device__ __forceinline__ void AddBias(const float* bias, int half, Pairs& e) {
  Pairs add;
  Put4(*reinterpret_cast<const float4*>(bias), 0, add);
  Put4(*reinterpret_cast<const float4*>(bias + half), 1, add);
#pragma unroll
  for (int i = 0; i < 8; ++i) e.v[i] += add.v[i];
}

__device__ __forceinline__ void Turn(const Launch& l, int position, int dim, Pairs& e) {
  const int64_t at = int64_t{position} * (l.s.head_dim / 2) + dim;
  const float4 cosine = *reinterpret_cast<const float4*>(l.cosine + at);
  const float4 sine = *reinterpret_cast<const float4*>(l.sine + at);
  const float c[4] = {cosine.x, cosine.y, cosine.z, cosine.w};
  const float s[4] = {sine.x, sine.y, sine.z, sine.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float a = e.v[2 * i];
    const float b = e.v[2 * i + 1];
    e.v[2 * i] = a * c[i] - b * s[i];
    e.v[2 * i + 1] = b * c[i] + a * s[i];
  }
}

// A row of the cache, and this lane's part of it.
template <int kBits>
struct Row {
  bool is_value;
  int position;
  int dim;  // first of four; the others lie half a head further
  uint8_t* codes;
  uint32_t* pair;  // its scale and zero
  __half* plain;

  __device__ __forceinline__ Row(const Launch& l, bool is_value, int head, int position, int dim)
      : is_value(is_value), position(position), dim(dim) {
    const RopeShape& s = l.s;
    const int64_t row = int64_t{head} * s.capacity + position;
    uint8_t* cache = is_value ? l.cache.values : l.cache.keys;
    codes = cache + row * KvRowBytes(kBits, s.head_dim);
    pair = reinterpret_cast<uint32_t*>(cache + KvScalesOffset(kBits, s.kv_heads, s.head_dim, s.capacity)) +
           head * KvScaleRowsOf(s.capacity) + position;
    plain = (is_value ? l.values : l.keys) + row * s.head_dim + dim;
  }

  // What attention reads in place of the codes.
  __device__ __forceinline__ void Write(const Launch& l, const Unpacked& row) const {
    Pairs e;
#pragma unroll
    for (int i = 0; i < 8; ++i) e.v[i] = row.v[i] * row.scale;
    if (!is_value) Turn(l, position, dim, e);
    StorePairs(plain, l.s.head_dim / 2, e);
  }
};

// A row for some lanes: the query of a head, a key or a value of a token.
template <int kBits>
__global__ void __launch_bounds__(kThreads) QuantizeKernel(Launch l, const float* bias, __half* qkv) {
  prefill::WaitForPrevious();
  const RopeShape& s = l.s;
  const int lanes = LanesOf(s.head_dim);
  const int head = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) / lanes;
  const int first_code = static_cast<int>(threadIdx.x) % lanes * 8;
  const bool on = head < s.heads + 2 * s.kv_heads && first_code < s.head_dim;
  const int half = s.head_dim / 2;
  const int column = head * s.head_dim + first_code / 2;
  const int position = l.first + static_cast<int>(blockIdx.y);
  __half* source = qkv + int64_t{blockIdx.y} * (s.heads + 2 * s.kv_heads) * s.head_dim + column;
  Pairs e = {};
  if (on) e = LoadPairs(source, half);
  if (on && bias != nullptr) AddBias(bias + column, half, e);
  if (on && head < s.heads) {
    Turn(l, position, first_code / 2, e);
    StorePairs(source, half, e);
  }
  if (!__any_sync(~0u, head >= s.heads)) return;
  float rounded[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) rounded[i] = __half2float(__float2half_rn(e.v[i]));
  PackedCodes<kBits> packed;
  const uint32_t pair = QuantizeRow<kBits>(rounded, lanes, on, packed);
  if (!on || head < s.heads) return;
  const int kv = head - s.heads;
  const Row<kBits> row(l, kv >= s.kv_heads, kv % s.kv_heads, position, first_code / 2);
  StoreCodes<kBits>(row.codes, first_code, packed);
  if (first_code == 0) *row.pair = pair;
  row.Write(l, UnpackCodes(packed, pair));
}

template <int kBits>
__global__ void __launch_bounds__(kThreads) ReadKernel(Launch l) {
  prefill::WaitForPrevious();
  const RopeShape& s = l.s;
  const int lanes = LanesOf(s.head_dim);
  const int index = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) / lanes;
  const int first_code = static_cast<int>(threadIdx.x) % lanes * 8;
  if (index >= l.count || first_code >= s.head_dim) return;
  const int kv = static_cast<int>(blockIdx.y);
  const Row<kBits> row(l, kv >= s.kv_heads, kv % s.kv_heads, l.first + index, first_code / 2);
  const auto packed = *reinterpret_cast<const PackedCodes<kBits>*>(row.codes + first_code * kBits / 8);
  row.Write(l, UnpackCodes(packed, *row.pair));
}

Status Check(const RopeShape& s, int kv_bits, int first, int count) {
  if ((kv_bits != 8 && kv_bits != 4) || s.head_dim <= 0 || s.head_dim % 16 != 0 || s.head_dim > 256 ||
      s.kv_heads <= 0) {
    return MakeError(cudaErrorInvalidValue,
                     "got a cache of %d bits, %d heads of %d, expected 8 or 4 bits and a multiple of 16 up to 256",
                     kv_bits, s.kv_heads, s.head_dim);
  }
  if (first < 0 || count < 1 || first > s.capacity - count) {
    return MakeError(cudaErrorInvalidValue, "got %d positions from %d, expected them within %d", count, first,
                     s.capacity);
  }
  return {};
}

// Blocks along x, each of kThreads / lanes rows.
unsigned BlocksOf(int rows, int head_dim) {
  return static_cast<unsigned>((rows * LanesOf(head_dim) + kThreads - 1) / kThreads);
}

}  // namespace

Status RopeAndQuantize(const RopeShape& shape, int kv_bits, int first, int tokens, const float* cosine,
                       const float* sine, const float* bias, __half* qkv, const QuantizedCache& cache, __half* keys,
                       __half* values, cudaStream_t stream) {
  UAQF_CUDA_CHECK(Check(shape, kv_bits, first, tokens));
  const Launch l = {shape, first, tokens, cosine, sine, cache, keys, values};
  const dim3 grid(BlocksOf(shape.heads + 2 * shape.kv_heads, shape.head_dim), static_cast<unsigned>(tokens));
  const auto kernel = kv_bits == 8 ? &QuantizeKernel<8> : &QuantizeKernel<4>;
  return FromCuda(prefill::LaunchAfter(kernel, grid, kThreads, 0, stream, l, bias, qkv), "quantization of a cache");
}

Status ReadQuantized(const RopeShape& shape, int kv_bits, int first, int count, const float* cosine, const float* sine,
                     const QuantizedCache& cache, __half* keys, __half* values, cudaStream_t stream) {
  UAQF_CUDA_CHECK(Check(shape, kv_bits, first, count));
  const Launch l = {shape, first, count, cosine, sine, cache, keys, values};
  const dim3 grid(BlocksOf(count, shape.head_dim), static_cast<unsigned>(2 * shape.kv_heads));
  const auto kernel = kv_bits == 8 ? &ReadKernel<8> : &ReadKernel<4>;
  return FromCuda(prefill::LaunchAfter(kernel, grid, kThreads, 0, stream, l), "reading of a quantized cache");
}

}  // namespace uaqf::cuda
