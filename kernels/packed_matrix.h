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

// What a quantizer hands over: value[r,c] = codes[r,c] * scale(r,c). All memory is borrowed and row-major.
struct QuantizedWeights {
  WeightFormat format = WeightFormat::kInt8;  // kInt8: codes in [-128,127]; kInt4: codes in [-8,7]
  ScaleGranularity granularity = ScaleGranularity::kPerRow;
  int64_t rows = 0;                        // outputs
  int64_t cols = 0;                        // inputs
  int64_t group_size = 0;                  // columns to a scale for kPerGroup, a multiple of 8; else 0
  std::span<const int8_t> codes;           // [rows, cols], one code a byte also for kInt4
  std::span<const float> scales;           // kPerTensor: 1; kPerRow: rows; kPerGroup: empty
  std::span<const uint16_t> group_scales;  // kPerGroup: FP16 bits [rows, ceil(cols / group_size)]; else empty
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

  // Fails if sizes disagree, a code is out of range of its format, a scale is not finite, or group_size is not a
  // positive multiple of 8.
  [[nodiscard]] static absl::StatusOr<PackedMatrix> FromQuantized(const QuantizedWeights& weights);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  WeightFormat format() const { return format_; }
  ScaleGranularity granularity() const { return granularity_; }
  int64_t group_size() const { return group_size_; }

  // Memory held: codes, scales and padding.
  int64_t bytes() const { return data_.size() + scales_.size() + group_scales_.size() + row_sums_.size(); }

  // Writes row `row` as FP32, code times scale, to out[0 .. cols). For the embedding look-up and for tests.
  void DequantizeRow(int64_t row, float* out) const;

  // Writes rows [begin, end) as FP32 to out[(row - begin) * cols + col].
  void DequantizeRows(int64_t begin, int64_t end, float* out) const;

  // Memory order, for kernels only; kernels/cpu/packed_layout.h draws it.
  const uint8_t* data() const { return data_.data<uint8_t>(); }
  const float* scales() const { return scales_.data<float>(); }                    // [padded rows], FP16: null
  const uint16_t* group_scales() const { return group_scales_.data<uint16_t>(); }  // [panel][group][16]
  const int32_t* row_sums() const { return row_sums_.data<int32_t>(); }            // sum of INT8 codes, [padded rows]

 private:
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  int64_t group_size_ = 0;
  WeightFormat format_ = WeightFormat::kFp16;
  ScaleGranularity granularity_ = ScaleGranularity::kPerTensor;
  AlignedBuffer data_;
  AlignedBuffer scales_;
  AlignedBuffer group_scales_;
  AlignedBuffer row_sums_;
};

}  // namespace uaqf::kernels
