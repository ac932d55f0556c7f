#include <algorithm>
#include <type_traits>

#include "kernels/cuda/unpack.h"

namespace uaqf::cuda {
namespace {

constexpr int kWarps = 8;

// Columns 0..3 of a word lie in its bytes in the order 0, 2, 1, 3 (kernels/cuda/layout.h).
__device__ __forceinline__ int Code8(uint32_t word, int column) {
  return static_cast<int8_t>(word >> (ByteOfColumn(column) * 8) & 0xFF);
}

__device__ __forceinline__ int Code4(uint32_t word, int column, int high) {
  return static_cast<int>(word >> (ByteOfColumn(column) * 8 + high * 4) & 0xF) - kInt4Offset;
}

// Eight columns of one row.
__device__ __forceinline__ uint4 Pack(const int (&codes)[8], int zero, float scale, __half) {
  __half2 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    pairs[i] = __floats2half2_rn(static_cast<float>(codes[2 * i] - zero) * scale,
                                 static_cast<float>(codes[2 * i + 1] - zero) * scale);
  }
  return *reinterpret_cast<const uint4*>(pairs);
}

__device__ __forceinline__ uint2 Pack(const int (&codes)[8], int, float, int8_t) {
  uint32_t words[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    words[i] = (codes[4 * i] & 0xFF) | (codes[4 * i + 1] & 0xFF) << 8 | (codes[4 * i + 2] & 0xFF) << 16 |
               static_cast<uint32_t>(codes[4 * i + 3] & 0xFF) << 24;
  }
  return {words[0], words[1]};
}

__device__ __forceinline__ uint4 ShuffleXor(uint4 v, int mask) {
  return {__shfl_xor_sync(~0u, v.x, mask), __shfl_xor_sync(~0u, v.y, mask), __shfl_xor_sync(~0u, v.z, mask),
          __shfl_xor_sync(~0u, v.w, mask)};
}

__device__ __forceinline__ uint2 ShuffleXor(uint2 v, int mask) {
  return {__shfl_xor_sync(~0u, v.x, mask), __shfl_xor_sync(~0u, v.y, mask)};
}

// A warp has a block: 16 rows, 128 columns. A lane holds 8 columns of slots g and g + 8 of each 32-column step.
template <Format kFormat, typename Out>
__global__ void __launch_bounds__(kWarps * 32)
    UnpackKernel(MatrixView m, int first_tile, int begin, int end, Out* out) {
  const int block = blockIdx.x * kWarps + threadIdx.x / 32;
  if (block >= m.blocks) return;
  const int tile = first_tile + static_cast<int>(blockIdx.y);
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  int first;
  int second;
  int in_first;
  int in_second;
  m.spec.map.Halves(tile, &first, &second);
  m.spec.map.Counts(first, second, &in_first, &in_second);
  const int rows[2] = {first + g, second + g};
  const bool wanted[2] = {g < in_first && rows[0] >= begin && rows[0] < end,
                          g < in_second && rows[1] >= begin && rows[1] < end};
  const int group = m.spec.group;
  const uint8_t* data = m.data + (int64_t{tile} * m.blocks + block) * BlockBytes(kFormat, group, m.spec.zeros);
  constexpr int kLoads = kFormat == Format::kInt8 ? 4 : 2;
  uint4 words[kLoads];
#pragma unroll
  for (int i = 0; i < kLoads; ++i) words[i] = __ldcs(reinterpret_cast<const uint4*>(data + i * 512 + lane * 16));
  const auto* group_scales = reinterpret_cast<const __half*>(data + CodeBytes(kFormat));
  const uint8_t* group_zeros = data + ZerosOffset(kFormat, group);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float row_scale = group == 0 && sizeof(Out) == 2 && wanted[half] ? m.row_scales[rows[half]] : 1.0f;
    using Vector = std::conditional_t<sizeof(Out) == 2, uint4, uint2>;
    Vector eight[4];
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      int codes[8];
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        if constexpr (kFormat == Format::kInt8) {
          const uint4 w = words[pair];
          const uint32_t word = c < 4 ? (half == 0 ? w.x : w.y) : (half == 0 ? w.z : w.w);
          codes[c] = Code8(word, c % 4);
        } else {
          const uint4 w = words[pair / 2];
          const uint32_t word = pair % 2 == 0 ? (c < 4 ? w.x : w.y) : (c < 4 ? w.z : w.w);
          codes[c] = Code4(word, c % 4, half);
        }
      }
      float scale = row_scale;
      int zero = 0;
      if (group > 0 && sizeof(Out) == 2) {
        const int at = (pair * 32 + lane % 4 * 8) / group * kTileRows + g * 2 + half;
        scale = __half2float(group_scales[at]);
        if (m.spec.zeros) zero = group_zeros[at] - kInt4Offset;
      }
      eight[pair] = Pack(codes, zero, scale, Out{});
    }
    // Lanes of neighbouring rows swap, so that 8 lanes write 64 columns of one row side by side: whole cache lines.
    const bool odd = g % 2 == 1;
    const int own = rows[half];
    const int other = odd ? own - 1 : own + 1;
    const bool other_wanted = __shfl_xor_sync(~0u, static_cast<int>(wanted[half]), 4) != 0;
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const Vector low = eight[2 * step];
      const Vector high = eight[2 * step + 1];
      const Vector swapped = ShuffleXor(odd ? low : high, 4);
      const int column = block * kBlockCols + step * 64 + (odd ? 32 : 0) + lane % 4 * 8;
      if (column >= m.spec.cols) continue;
      // First the even row of the two, then the odd one.
      const Vector even_row = odd ? swapped : low;
      const Vector odd_row = odd ? high : swapped;
      const int even = odd ? other : own;
      if (odd ? other_wanted : wanted[half]) {
        *reinterpret_cast<Vector*>(out + int64_t{even - begin} * m.spec.cols + column) = even_row;
      }
      if (odd ? wanted[half] : other_wanted) {
        *reinterpret_cast<Vector*>(out + int64_t{even + 1 - begin} * m.spec.cols + column) = odd_row;
      }
    }
  }
}

// Rows of one half of a gated matrix, or any rows of another: their tiles are neighbours.
template <typename Out>
Status UnpackPart(const MatrixView& m, int begin, int end, Out* out, cudaStream_t stream) {
  const TileMap& map = m.spec.map;
  int first = begin / kTileRows;
  int last = (end + kTileRows - 1) / kTileRows;
  if (map.order == RowOrder::kGated) {
    const int half = begin >= map.rows / 2 ? map.rows / 2 : 0;
    first = (begin - half) / 8;
    last = (end - half + 7) / 8;
  } else if (map.order == RowOrder::kRotary) {
    first = begin / map.head_dim * (map.head_dim / kTileRows);
    last = (end + map.head_dim - 1) / map.head_dim * (map.head_dim / kTileRows);
  }
  last = std::min(last, map.tiles());
  const dim3 grid((m.blocks + kWarps - 1) / kWarps, last - first);
  if (m.spec.format == Format::kInt8) {
    UnpackKernel<Format::kInt8><<<grid, kWarps * 32, 0, stream>>>(m, first, begin, end, out);
  } else {
    UnpackKernel<Format::kInt4><<<grid, kWarps * 32, 0, stream>>>(m, first, begin, end, out);
  }
  return FromCuda(cudaGetLastError(), "unpack");
}

template <typename Out>
Status UnpackAny(const MatrixView& m, int begin, int end, Out* out, cudaStream_t stream) {
  const int half = m.spec.map.rows / 2;
  if (m.spec.map.order != RowOrder::kGated || end <= half || begin >= half) {
    return UnpackPart(m, begin, end, out, stream);
  }
  UAQF_CUDA_CHECK(UnpackPart(m, begin, half, out, stream));
  return UnpackPart(m, half, end, out + int64_t{half - begin} * m.spec.cols, stream);
}

}  // namespace

Status UnpackRows(const MatrixView& matrix, int begin, int end, __half* out, cudaStream_t stream) {
  return UnpackAny(matrix, begin, end, out, stream);
}

Status UnpackCodes(const MatrixView& matrix, int begin, int end, int8_t* out, cudaStream_t stream) {
  return UnpackAny(matrix, begin, end, out, stream);
}

}  // namespace uaqf::cuda
