// A linear layer as a quantized release stores it, whatever its format: integer codes and what turns them into weights.
//
//   value[r, c] = scale(r, c) * (code[r, c] - zero(r, c)) + offset(r, c)       column c of the codes is input order[c]
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace uaqf::model {

// [rows = outputs, columns = inputs], row-major, one code a byte. What a format does not have is empty.
struct StoredMatrix {
  int bits = 8;  // that hold a code: 8, codes in [-128, 127]; or 4, codes in [-8, 7]
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<int8_t> codes;

  std::vector<float> scales;  // without groups: 1 for the matrix, or one for each row

  // Groups: group_size columns, a multiple of 8, the last may be shorter. 0: none, and the rest is empty but for order.
  int64_t group_size = 0;
  int64_t block_groups = 0;             // groups that share a scale and an offset; 0: each has its own
  std::vector<uint16_t> group_scales;   // FP16 bits [rows, groups], or [rows, blocks]
  std::vector<uint16_t> group_offsets;  // the same
  std::vector<int8_t> scale_factors;    // [rows, groups], with blocks
  std::vector<int8_t> offset_factors;   // [rows, groups], with blocks and offsets
  std::vector<int8_t> group_zeros;      // [rows, groups]
  int8_t zero = 0;                      // of all groups, where group_zeros is empty

  std::vector<int32_t> order;  // a permutation of the inputs; empty: as they come

  int64_t groups() const { return group_size > 0 ? (columns + group_size - 1) / group_size : 0; }
  int64_t blocks() const { return block_groups > 0 ? (groups() + block_groups - 1) / block_groups : groups(); }
};

// Rows of a matrix to read.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

// FP32 values in the order of the inputs, each product and sum rounded to FP32 as the formats' own readers do. `out`
// holds rows * columns.
void Dequantize(const StoredMatrix& matrix, std::span<float> out);

// Brings the columns of the codes, which stand as the inputs do, into the order of their groups, and says so in
// `order`; both stay as they are where groups are runs of group_size inputs already. INVALID_ARGUMENT when an entry is
// no group, or a group does not have group_size inputs (the last: what is left).
absl::Status OrderColumns(std::span<const int32_t> group_of_input, StoredMatrix& matrix);

}  // namespace uaqf::model
