#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/aligned_buffer.h"

namespace uaqf::kernels {

enum class WeightFormat { kFp16, kInt8, kInt4 };

enum class ScaleGranularity {
  kPerTensor,  // one scale
  kPerRow,     // one scale for each output row
  kPerGroup,   // one scale for each row and each run of group_size columns, the last run may be shorter
};

[[nodiscard]] std::string_view WeightFormatName(WeightFormat format);

// What a quantizer or a reader hands over: value[r,c] = scale(r,c) * (codes[r,c] - zero(r,c)) + offset(r,c). All memory
// is borrowed and row-major. The first fields are all that a symmetric matrix has; what follows them is for kPerGroup
// only (a row may be one group) and empty, or zero, where a format has no such thing:
//
//   GPTQ, AWQ, compressed-tensors, asymmetric   group_zeros
//   GGUF Q4_1      group_offsets, zero = -8: its codes count from 0, kInt4's from -8
//   GGUF Q4_K      the same with block_groups = 8 and factors; Q6_K: block_groups = 16 and scale_factors
//   act-order      gather
struct QuantizedWeights {
  WeightFormat format = WeightFormat::kInt8;  // kInt8: codes in [-128,127]; kInt4: codes in [-8,7]
  ScaleGranularity granularity = ScaleGranularity::kPerRow;
  int64_t rows = 0;                        // outputs
  int64_t cols = 0;                        // inputs
  int64_t group_size = 0;                  // columns to a scale for kPerGroup, a multiple of 8; else 0
  std::span<const int8_t> codes;           // [rows, cols], one code a byte also for kInt4
  std::span<const float> scales;           // kPerTensor: 1; kPerRow: rows; kPerGroup: empty
  std::span<const uint16_t> group_scales;  // kPerGroup: FP16 bits [rows, groups = ceil(cols / group_size)]; else empty

  std::span<const int8_t> group_zeros;      // [rows, groups]
  int8_t zero = 0;                          // of every group, where group_zeros is empty
  std::span<const uint16_t> group_offsets;  // FP16 bits [rows, groups]
  // Two levels: so many groups, a power of two, share a scale and an offset, which each group multiplies by integers of
  // its own. group_scales and group_offsets are then [rows, ceil(groups / block_groups)].
  int64_t block_groups = 0;
  std::span<const int8_t> scale_factors;   // [rows, groups]
  std::span<const int8_t> offset_factors;  // [rows, groups], with group_offsets only

  // Permutation [cols]: column c meets x[gather[c]]. So columns of one group can stand together whatever their order in
  // the model; any granularity.
  std::span<const int32_t> gather;
};

// A weight matrix [rows = outputs, cols = inputs] in the memory order the kernels read. Immutable; may be read by any
// number of threads. The order is the same for all instruction sets: see packed_layout.h.
class PackedMatrix {
 public:
  // Matrix of no rows.
  PackedMatrix() = default;

  // `bits`: rows * cols FP16 bit patterns, row-major; copied. Fails if sizes disagree.
  [[nodiscard]] static absl::StatusOr<PackedMatrix> FromFp16(int64_t rows, int64_t cols,
                                                             std::span<const uint16_t> bits);

  // Fails if sizes disagree, a code is out of range of its format, a scale or an offset is not finite, group_size is
  // not a positive multiple of 8, block_groups no power of two, or gather no permutation.
  [[nodiscard]] static absl::StatusOr<PackedMatrix> FromQuantized(const QuantizedWeights& weights);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  WeightFormat format() const { return format_; }
  ScaleGranularity granularity() const { return granularity_; }
  int64_t group_size() const { return group_size_; }
  // Whether values are more than code times scale: zeros, offsets or factors.
  bool affine() const { return affine_; }
  // As QuantizedWeights has it; empty: columns meet x in their own order.
  std::span<const int32_t> gather() const {
    return {gather_.data<int32_t>(), gather_.size() > 0 ? static_cast<size_t>(cols_) : 0};
  }

  // Memory held: codes, scales, all that goes with them, and padding.
  int64_t bytes() const;

  // Writes row `row` as FP32 to out[0 .. cols), in the order of x. For the embedding look-up and for tests. Bit-equal
  // to the products rounded one by one, scale * (code - zero) + offset, which is what readers of such files define.
  void DequantizeRow(int64_t row, float* out) const;

  // Writes rows [begin, end) as FP32 to out[(row - begin) * cols + col].
  void DequantizeRows(int64_t begin, int64_t end, float* out) const;

  // Memory order, for kernels only; kernels/cpu/packed_layout.h draws it. Null where the matrix has no such thing.
  const uint8_t* data() const { return data_.data<uint8_t>(); }
  const float* scales() const { return scales_.data<float>(); }                      // [padded rows], FP16: null
  const uint16_t* group_scales() const { return group_scales_.data<uint16_t>(); }    // [panel][block][16]
  const uint16_t* group_offsets() const { return group_offsets_.data<uint16_t>(); }  // [panel][block][16]
  const int8_t* group_zeros() const { return group_zeros_.data<int8_t>(); }          // [panel][group][16]
  const int8_t* scale_factors() const { return scale_factors_.data<int8_t>(); }      // [panel][group][16]
  const int8_t* offset_factors() const { return offset_factors_.data<int8_t>(); }    // [panel][group][16]
  int8_t zero() const { return zero_; }
  int64_t block_groups() const { return block_groups_; }                 // groups to a block: 1 without factors
  const int32_t* row_sums() const { return row_sums_.data<int32_t>(); }  // sum of INT8 codes, [padded rows]

 private:
  struct GroupValues {
    float scale;
    int zero;
    float offset;
  };
  void PackGroups(const QuantizedWeights& weights);
  GroupValues GroupValuesOf(int64_t row, int64_t group) const;
  int CodeAt(int64_t row, int64_t col) const;

  int64_t rows_ = 0;
  int64_t cols_ = 0;
  int64_t group_size_ = 0;
  WeightFormat format_ = WeightFormat::kFp16;
  ScaleGranularity granularity_ = ScaleGranularity::kPerTensor;
  AlignedBuffer data_;
  AlignedBuffer scales_;
  bool affine_ = false;
  int8_t zero_ = 0;
  int64_t block_groups_ = 1;
  AlignedBuffer group_scales_;
  AlignedBuffer group_offsets_;
  AlignedBuffer group_zeros_;
  AlignedBuffer scale_factors_;
  AlignedBuffer offset_factors_;
  AlignedBuffer gather_;
  AlignedBuffer row_sums_;
};

}  // namespace uaqf::kernels
