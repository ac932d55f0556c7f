#pragma once

#include <cstdint>

// Memory order of a PackedMatrix. Sixteen rows form a panel, which is contiguous; a vector register holds the same
// column (or the same few columns) of the panel's rows, one row to a 32-bit lane. So a product needs no horizontal sum,
// any number of columns works, and a panel is one sequential stream for the prefetcher:
//
//   FP16   unit = 1 column:   [unit][row 0..15] 16-bit                       32 bytes
//   INT8   unit = 4 columns:  [unit][row 0..15][column 0..3] 8-bit           64 bytes: one VNNI operand
//   INT4   unit = 8 columns:  [unit][row 0..15] 32-bit word of 8 nibbles     64 bytes
//          byte b of a word holds code+8 of column b in its low half and of column b+4 in its high half, so that
//          masking the low (high) halves gives columns 0..3 (4..7) as unsigned VNNI bytes.
//
// Rows and columns are padded with values of zero (INT4: nibble 8). A panel starts on 64 bytes: FP16 pads to an even
// number of columns. Group scales are [panel][group][16] FP16, other scales [padded rows] FP32. Zeros and factors are
// [panel][group][16] INT8, offsets [panel][group][16] FP16; where groups have factors, the FP16 scales and offsets are
// [panel][block][16].
//
// Included by files compiled for one instruction set: keep it free of inline functions and of the standard library's.
namespace uaqf::kernels::internal {

constexpr int64_t kPanelRows = 16;
constexpr int64_t kInt8Unit = 4;
constexpr int64_t kInt4Unit = 8;
constexpr int kInt4Zero = 8;

enum class PanelFormat { kFp16, kInt8, kInt4 };

// A packed matrix as the kernels see it.
struct PanelView {
  PanelFormat format;
  int64_t cols;
  int64_t panel_bytes;
  int64_t group_size;  // 0: no group scales
  int64_t groups;      // groups in a row, 0 without
  const uint8_t* data;
  const float* scales;           // [padded rows]; null for FP16 and with groups
  const uint16_t* group_scales;  // [panel][block][16]; null without
  const int32_t* row_sums;       // INT8: sum of a row's codes, [padded rows]

  // value = scale * (code - zero) + offset in each group; false: value = scale * code, and what follows is unset.
  bool affine;
  int block_shift;                // a block is 1 << block_shift groups
  int64_t blocks;                 // in a row
  float zero;                     // where group_zeros is null
  const int8_t* group_zeros;      // null: none
  const uint16_t* group_offsets;  // null: none
  const int8_t* scale_factors;    // null: none
  const int8_t* offset_factors;   // null: none
};

// A vector in FP32. The zero and the offset of a group meet the sum of its x, which is the same for all rows.
struct FloatVector {
  const float* x;
  const float* group_sums;  // [groups]; null unless the view is affine
};

// A vector quantized per token. Codes are padded with zeros to a multiple of 64.
struct Int8Vector {
  const int8_t* codes;
  const uint8_t* biased;  // codes + 128, for VNNI's unsigned side
  const int32_t* prefix;  // prefix[i]: sum of the first 8 i codes
  float scale;
  const float* group_scales;  // for the groups of a symmetric matrix, `scale` is then 1; null: none
};

// Panels [begin_panel, end_panel) times tokens [begin_token, end_token): out[token * out_stride + row] for the rows
// below `rows`, which replace what is there, or are added to it.
struct BlockRange {
  int64_t begin_panel;
  int64_t end_panel;
  int64_t begin_token;
  int64_t end_token;
  int64_t rows;
  float* out;
  int64_t out_stride;
  const float* bias;  // [rows], null: none
  bool accumulate;
};

struct FloatBlockArgs {
  BlockRange range;
  const float* x;  // [token][x_stride]
  int64_t x_stride;
  float* scratch;  // 64-byte aligned, kScratchFloats
};

struct Int8BlockArgs {
  BlockRange range;
  const int8_t* codes;    // [token][code_stride]
  const uint8_t* biased;  // [token][code_stride]
  int64_t code_stride;
  const int32_t* prefix;  // [token][prefix_stride]
  int64_t prefix_stride;
  const float* scales;        // [token]
  const float* group_scales;  // [token][group_stride]; null: none
  int64_t group_stride;
};

// Weights are turned to FP32 this many columns of two panels at a time: half of a 512 KiB cache.
constexpr int64_t kScratchColumns = 2048;
constexpr int64_t kScratchFloats = kScratchColumns * 2 * kPanelRows;

constexpr int64_t kMaxHeadDim = 256;
constexpr int64_t kAttentionPositions = 32;  // prefill attention rounds positions up to this
constexpr int64_t kAttentionTile = 12;       // tokens attended to at once, at most

struct AttentionRun {
  const float* query;      // [heads][head_dim]
  const uint16_t* keys;    // [count][head_dim] FP16
  const uint16_t* values;  // [count][head_dim] FP16
  int64_t heads;
  int64_t count;  // at least 1
  int64_t head_dim;
  float scale;
  float* scores;   // scratch [heads][count rounded up to 16]
  float* out;      // [heads][head_dim], not yet divided by `sum`
  float* largest;  // [heads]
  float* sum;      // [heads]
};

// Rows of an INT4 cache (kernels/int4_kv.h) of one KV head, to FP16.
struct Int4Rows {
  const uint16_t* pairs;  // [count][2]
  const uint8_t* codes;   // [count][head_dim / 2]
  const float* cos;       // [count][head_dim / 2] of the rows' positions; null: not turned
  const float* sin;
  int64_t count;
  int64_t head_dim;
  uint16_t* out;  // [count][head_dim]
};

// One KV head in FP32, in the order the instruction set likes.
struct KvPanels {
  float* keys;    // count * head_dim
  float* values;  // count * (head_dim rounded up to 32)
  int64_t count;  // positions, a multiple of kAttentionPositions
  int64_t used;   // of them filled, the rest is zero
  int64_t head_dim;
};

// Token i is at position `first` + i of the panels and sees [max(0, first + i - window + 1), first + i].
struct AttentionTokens {
  const float* query;  // [token][stride]
  float* out;          // [token][stride]
  int64_t stride;
  int64_t tokens;
  int64_t first;
  int64_t window;  // 0: all
  float scale;
  float* scores;  // scratch [kAttentionTile][panels.count]
};
}  // namespace uaqf::kernels::internal
