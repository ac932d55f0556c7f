// Order of weights in device memory.
//
// A matrix [rows = outputs, cols = inputs] may hold several linear layers that read the same input, one under the
// other (its logical rows): q over k over v, gate over up. Kernels walk it in tiles of 16 rows: slots 0..7 are 8
// neighbouring logical rows from `first`, slots 8..15 are 8 from `second`. Where the two halves start makes the fusion:
//   kPlain   second = first + 8
//   kRotary  second = first + head_dim / 2: a thread that ends up with slots g and g + 8 holds a RoPE pair
//   kGated   second = first + rows / 2: a thread holds gate and up of the same output
//
// FP16 stays row-major (so that matrix products can read it where it lies), each row padded with zeros to 128 bytes.
// INT8 and INT4 are [tile][block of 128 columns][block bytes]:
//   codes   [step pair p of 32 columns][lane 0..31][words]; lane = 4 g + t holds columns 32 p + 8 t .. + 7 of slots g
//           and g + 8. A word covers 4 columns in the order 0, 2, 1, 3:
//     INT8  16 bytes a lane and pair: {slot g, cols 0-3}, {slot g+8, 0-3}, {g, 4-7}, {g+8, 4-7}; two's complement
//     INT4  8 bytes a lane and pair, pairs 2i and 2i+1 of a lane side by side: word {cols 0-3}, word {cols 4-7}; byte j
//           of a word is column {0,2,1,3}[j], low nibble slot g, high nibble slot g + 8; a nibble is code + 8
//   scales  with groups: FP16 [group of the block][g][slot g, slot g + 8]
//   zeros   with zeros: bytes [group of the block][g][slot g, slot g + 8]; a byte is zero + 8
// so that a lane's share is exactly its mma.sync A fragment after one AND per two weights, and a run of blocks is one
// contiguous copy.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define UAQF_HOST_DEVICE __host__ __device__
#else
#define UAQF_HOST_DEVICE
#endif

namespace uaqf::cuda {

UAQF_HOST_DEVICE constexpr int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

enum class Format { kFp16, kInt8, kInt4 };
enum class RowOrder { kPlain, kRotary, kGated };

inline constexpr int kTileRows = 16;
inline constexpr int kBlockCols = 128;
inline constexpr int kInt4Offset = 8;

// Which logical rows are in which tile.
struct TileMap {
  RowOrder order = RowOrder::kPlain;
  int rows = 0;
  int head_dim = 0;     // kRotary: a multiple of 16
  int rotary_rows = 0;  // kRotary: the first so many rows are rotated heads; the others are plain

  UAQF_HOST_DEVICE int tiles() const {
    return order == RowOrder::kGated ? (rows / 2 + 7) / 8 : (rows + kTileRows - 1) / kTileRows;
  }

  // First rows of the two halves of a tile.
  UAQF_HOST_DEVICE void Halves(int tile, int* first, int* second) const {
    if (order == RowOrder::kGated) {
      *first = tile * 8;
      *second = rows / 2 + tile * 8;
    } else if (order == RowOrder::kRotary && tile * kTileRows < rotary_rows) {
      const int per_head = head_dim / kTileRows;
      const int head = tile / per_head;
      *first = head * head_dim + (tile - head * per_head) * 8;
      *second = *first + head_dim / 2;
    } else {
      *first = tile * kTileRows;
      *second = *first + 8;
    }
  }

  // How many of the 8 rows of each half exist.
  UAQF_HOST_DEVICE void Counts(int first, int second, int* in_first, int* in_second) const {
    const int end = order == RowOrder::kGated ? rows / 2 : rows;
    *in_first = end - first < 8 ? end - first : 8;
    *in_second = rows - second < 8 ? rows - second : 8;
    if (*in_second < 0) *in_second = 0;
  }

  // Tile and slot of a logical row.
  UAQF_HOST_DEVICE void Locate(int row, int* tile, int* slot) const {
    if (order == RowOrder::kGated) {
      const bool up = row >= rows / 2;
      const int at = up ? row - rows / 2 : row;
      *tile = at / 8;
      *slot = at % 8 + (up ? 8 : 0);
    } else if (order == RowOrder::kRotary && row < rotary_rows) {
      const int head = row / head_dim;
      const int dim = row - head * head_dim;
      const bool upper = dim >= head_dim / 2;
      const int at = upper ? dim - head_dim / 2 : dim;
      *tile = head * (head_dim / kTileRows) + at / 8;
      *slot = at % 8 + (upper ? 8 : 0);
    } else {
      *tile = row / kTileRows;
      *slot = row % kTileRows;
    }
  }
};

// Bytes of the codes of a block, of the codes with their scales, and of the whole block. `group` is 0 without group
// scales.
UAQF_HOST_DEVICE constexpr int CodeBytes(Format format) { return format == Format::kInt8 ? 2048 : 1024; }
UAQF_HOST_DEVICE constexpr int ZerosOffset(Format format, int group) {
  return CodeBytes(format) + (group > 0 ? kBlockCols / group * kTileRows * 2 : 0);
}
UAQF_HOST_DEVICE constexpr int BlockBytes(Format format, int group, bool zeros) {
  return ZerosOffset(format, group) + (zeros ? kBlockCols / group * kTileRows : 0);
}

// Byte offset of one word among the codes of a block; see the head of this file.
// `pair` = 32-column step, `half` = columns 0-3 or 4-7 of the lane's 8, `upper` = slot >= 8 (INT8 only).
UAQF_HOST_DEVICE constexpr int WordOffset(Format format, int pair, int lane, int half, int upper) {
  return format == Format::kInt8 ? pair * 512 + lane * 16 + half * 8 + upper * 4
                                 : (pair / 2) * 512 + lane * 16 + (pair % 2) * 8 + half * 4;
}

// Byte of a word that holds column `column` (0..3) of its four.
UAQF_HOST_DEVICE constexpr int ByteOfColumn(int column) { return column == 1 ? 2 : column == 2 ? 1 : column; }

}  // namespace uaqf::cuda
