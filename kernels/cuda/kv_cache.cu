#include "kernels/cuda/decode/kv_rows.cuh"
#include "kernels/cuda/kv_cache.h"

namespace uaqf::cuda {

namespace {

constexpr int kThreads = 256;

// A warp to a row.
template <int kBits>
__global__ void __launch_bounds__(kThreads)
    QuantizeCacheKernel(KvShape s, int first, int count, const __half* from, uint8_t* to) {
  const int64_t row = int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  if (row >= int64_t{s.kv_heads} * count) return;
  const int64_t head = row / count;
  const int64_t position = first + row % count;
  const int dim = threadIdx.x % 32 * 8;
  const bool on = dim < s.head_dim;
  const int64_t place = head * s.capacity + position;
  const Unpacked values = Unpack8(on ? *reinterpret_cast<const uint4*>(from + place * s.head_dim + dim) : uint4{});
  PackedCodes<kBits> packed;
  const uint32_t pair = QuantizeRow<kBits>(values.v, 32, on, packed);
  if (on) StoreCodes<kBits>(to + place * KvRowBytes(kBits, s.head_dim), dim, packed);
  auto* scales = reinterpret_cast<uint32_t*>(to + KvScalesOffset(kBits, s.kv_heads, s.head_dim, s.capacity));
  if (dim == 0) scales[head * KvScaleRowsOf(s.capacity) + position] = pair;
}

}  // namespace

Status QuantizeCache(const KvShape& s, int first, int count, const __half* from, uint8_t* to, cudaStream_t stream) {
  if ((s.bits != 8 && s.bits != 4) || s.head_dim <= 0 || s.head_dim % 16 != 0 || s.head_dim > 256 || s.kv_heads <= 0) {
    return MakeError(cudaErrorInvalidValue,
                     "got a cache of %d bits, %d heads of %d, expected 8 or 4 bits and a multiple of 16 up to 256",
                     s.bits, s.kv_heads, s.head_dim);
  }
  if (first < 0 || count < 0 || first > s.capacity - count) {
    return MakeError(cudaErrorInvalidValue, "got %d positions from %d, expected them within %d", count, first,
                     s.capacity);
  }
  if (count == 0) return {};
  const int64_t rows = int64_t{s.kv_heads} * count;
  const auto blocks = static_cast<unsigned>((rows + kThreads / 32 - 1) / (kThreads / 32));
  const auto kernel = s.bits == 8 ? &QuantizeCacheKernel<8> : &QuantizeCacheKernel<4>;
  kernel<<<blocks, kThreads, 0, stream>>>(s, first, count, from, to);
  return FromCuda(cudaGetLastError(), "quantization of a cache");
}

}  // namespace uaqf::cuda
