// Order of the activations that products on sm_90 read (prefill_product.h), so that a plain bulk copy brings them to
// shared memory as the tensor cores want them:
//   [slab of 128 bytes of a token: 128 INT8 or 64 FP16 columns][token, padded to 128][128 bytes]
// The 16-byte chunks of a token's 128 bytes are permuted by XOR with token % 8, the 128-byte swizzle of wgmma. Within
// each 32 columns the order is that of a lane's words in layout.h: columns 8 t .. 8 t + 7 are word t of
//   INT8  2 chunks, one for each 4 columns, in the order 0, 2, 1, 3
//   FP16  4 chunks, one for each 2 columns
// Columns are padded to 128 with zeros (a weight of the padding is zero, but zero times NaN is not); what tokens of the
// padding hold does not matter.
#pragma once

#include <cstdint>

#include "kernels/cuda/layout.h"

namespace uaqf::cuda {

inline constexpr int kSlabBytes = 128;
inline constexpr int kTokenTile = 128;

UAQF_HOST_DEVICE constexpr int PaddedTokens(int tokens) { return (tokens + kTokenTile - 1) / kTokenTile * kTokenTile; }
UAQF_HOST_DEVICE constexpr int PaddedWidth(int width) { return (width + kBlockCols - 1) / kBlockCols * kBlockCols; }

// Byte offset of word t (of four) of a chunk.
UAQF_HOST_DEVICE constexpr int64_t StagedWord(int padded_tokens, int token, int slab, int chunk, int t) {
  return (int64_t{slab} * padded_tokens + token) * kSlabBytes + (chunk ^ (token & 7)) * 16 + t * 4;
}

// Word `i` of columns [column, column + 8), column a multiple of 8: INT8 i < 2, FP16 i < 4.
UAQF_HOST_DEVICE constexpr int64_t StagedInt8(int padded_tokens, int token, int column, int i) {
  return StagedWord(padded_tokens, token, column / 128, column % 128 / 32 * 2 + i, column % 32 / 8);
}
UAQF_HOST_DEVICE constexpr int64_t StagedFp16(int padded_tokens, int token, int column, int i) {
  return StagedWord(padded_tokens, token, column / 64, column % 64 / 32 * 4 + i, column % 32 / 8);
}

}  // namespace uaqf::cuda
