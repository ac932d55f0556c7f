#include "kernels/packed_matrix.h"

#include <algorithm>

#include "kernels/cpu/check_quantized.h"
#include "kernels/cpu/packed_layout.h"
#include "kernels/fp16.h"

namespace uaqf::kernels {
namespace {

using internal::kInt4Unit;
using internal::kInt4Zero;
using internal::kInt8Unit;
using internal::kPanelRows;

constexpr float kNoOffset = -0.0f;  // leaves a product of -0 as it is

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t PanelBytes(WeightFormat format, int64_t cols) {
  switch (format) {
    case WeightFormat::kInt4:
      return CeilDiv(cols, kInt4Unit) * kPanelRows * 4;
    case WeightFormat::kInt8:
      return CeilDiv(cols, kInt8Unit) * kPanelRows * 4;
    case WeightFormat::kFp16:
      break;
  }
  return CeilDiv(cols, 2) * kPanelRows * 4;
}

// Where the element (row, col) of a panel lies; for INT4 `shift` picks the half of the byte.
int64_t Int8Offset(int64_t row, int64_t col) {
  return col / kInt8Unit * kPanelRows * kInt8Unit + row * kInt8Unit + col % kInt8Unit;
}
int64_t Int4Offset(int64_t row, int64_t col, int* shift) {
  const int64_t within = col % kInt4Unit;
  *shift = within < 4 ? 0 : 4;
  return col / kInt4Unit * kPanelRows * 4 + row * 4 + within % 4;
}

void PackInt8(const QuantizedWeights& w, int64_t panel_bytes, uint8_t* data, int32_t* row_sums) {
  for (int64_t row = 0; row < w.rows; ++row) {
    uint8_t* panel = data + row / kPanelRows * panel_bytes;
    int32_t sum = 0;
    for (int64_t col = 0; col < w.cols; ++col) {
      const int8_t code = w.codes[row * w.cols + col];
      panel[Int8Offset(row % kPanelRows, col)] = static_cast<uint8_t>(code);
      sum += code;
    }
    row_sums[row] = sum;
  }
}

void PackInt4(const QuantizedWeights& w, int64_t panel_bytes, uint8_t* data) {
  const int64_t panels = CeilDiv(w.rows, kPanelRows);
  std::fill(data, data + panels * panel_bytes, static_cast<uint8_t>(kInt4Zero << 4 | kInt4Zero));
  for (int64_t row = 0; row < w.rows; ++row) {
    uint8_t* panel = data + row / kPanelRows * panel_bytes;
    for (int64_t col = 0; col < w.cols; ++col) {
      int shift = 0;
      uint8_t& byte = panel[Int4Offset(row % kPanelRows, col, &shift)];
      const int nibble = w.codes[row * w.cols + col] + kInt4Zero;
      byte = static_cast<uint8_t>((byte & ~(0xf << shift)) | nibble << shift);
    }
  }
}

// From [rows, per_row] to [panel][per_row][16]; an empty span stays an empty buffer.
template <typename T>
AlignedBuffer PackRows(std::span<const T> values, int64_t rows, int64_t per_row) {
  if (values.empty()) return {};
  AlignedBuffer packed(CeilDiv(rows, kPanelRows) * per_row * kPanelRows * static_cast<int64_t>(sizeof(T)));
  T* out = packed.data<T>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < per_row; ++i) {
      out[(row / kPanelRows * per_row + i) * kPanelRows + row % kPanelRows] = values[row * per_row + i];
    }
  }
  return packed;
}

AlignedBuffer CopyOf(std::span<const int32_t> values) {
  if (values.empty()) return {};
  AlignedBuffer copy(static_cast<int64_t>(values.size_bytes()));
  std::copy(values.begin(), values.end(), copy.data<int32_t>());
  return copy;
}

}  // namespace

std::string_view WeightFormatName(WeightFormat format) {
  switch (format) {
    case WeightFormat::kInt8:
      return "int8";
    case WeightFormat::kInt4:
      return "int4";
    case WeightFormat::kFp16:
      break;
  }
  return "fp16";
}

absl::StatusOr<PackedMatrix> PackedMatrix::FromFp16(int64_t rows, int64_t cols, std::span<const uint16_t> bits) {
  if (absl::Status status = internal::CheckShape(rows, cols, bits.size()); !status.ok()) return status;
  PackedMatrix matrix;
  matrix.rows_ = rows;
  matrix.cols_ = cols;
  const int64_t panel_bytes = PanelBytes(WeightFormat::kFp16, cols);
  matrix.data_ = AlignedBuffer(CeilDiv(rows, kPanelRows) * panel_bytes);
  for (int64_t row = 0; row < rows; ++row) {
    uint16_t* panel = matrix.data_.data<uint16_t>() + row / kPanelRows * (panel_bytes / 2);
    for (int64_t col = 0; col < cols; ++col) panel[col * kPanelRows + row % kPanelRows] = bits[row * cols + col];
  }
  return matrix;
}

absl::StatusOr<PackedMatrix> PackedMatrix::FromQuantized(const QuantizedWeights& w) {
  if (absl::Status status = internal::CheckQuantized(w); !status.ok()) return status;
  PackedMatrix matrix;
  matrix.rows_ = w.rows;
  matrix.cols_ = w.cols;
  matrix.format_ = w.format;
  matrix.granularity_ = w.granularity;
  matrix.group_size_ = w.granularity == ScaleGranularity::kPerGroup ? w.group_size : 0;
  const int64_t panels = CeilDiv(w.rows, kPanelRows);
  const int64_t panel_bytes = PanelBytes(w.format, w.cols);
  matrix.data_ = AlignedBuffer(panels * panel_bytes);
  if (w.format == WeightFormat::kInt8) {
    matrix.row_sums_ = AlignedBuffer(panels * kPanelRows * 4);
    PackInt8(w, panel_bytes, matrix.data_.data<uint8_t>(), matrix.row_sums_.data<int32_t>());
  } else {
    PackInt4(w, panel_bytes, matrix.data_.data<uint8_t>());
  }
  matrix.gather_ = CopyOf(w.gather);
  if (matrix.group_size_ > 0) {
    matrix.PackGroups(w);
  } else {
    matrix.scales_ = AlignedBuffer(panels * kPanelRows * 4);
    const bool per_row = w.granularity == ScaleGranularity::kPerRow;
    for (int64_t row = 0; row < w.rows; ++row) matrix.scales_.data<float>()[row] = w.scales[per_row ? row : 0];
  }
  return matrix;
}

void PackedMatrix::PackGroups(const QuantizedWeights& w) {
  const int64_t groups = CeilDiv(cols_, group_size_);
  block_groups_ = std::max<int64_t>(1, w.block_groups);
  zero_ = w.zero;
  affine_ = w.zero != 0 || w.block_groups > 0 || !w.group_zeros.empty() || !w.group_offsets.empty();
  group_scales_ = PackRows(w.group_scales, rows_, CeilDiv(groups, block_groups_));
  group_offsets_ = PackRows(w.group_offsets, rows_, CeilDiv(groups, block_groups_));
  group_zeros_ = PackRows(w.group_zeros, rows_, groups);
  scale_factors_ = PackRows(w.scale_factors, rows_, groups);
  offset_factors_ = PackRows(w.offset_factors, rows_, groups);
}

int64_t PackedMatrix::bytes() const {
  int64_t bytes = 0;
  for (const AlignedBuffer* buffer : {&data_, &scales_, &group_scales_, &group_offsets_, &group_zeros_, &scale_factors_,
                                      &offset_factors_, &gather_, &row_sums_}) {
    bytes += buffer->size();
  }
  return bytes;
}

PackedMatrix::GroupValues PackedMatrix::GroupValuesOf(int64_t row, int64_t group) const {
  const int64_t groups = CeilDiv(cols_, group_size_);
  const int64_t lane = row % kPanelRows;
  const int64_t at = (row / kPanelRows * groups + group) * kPanelRows + lane;
  const int64_t block = (row / kPanelRows * CeilDiv(groups, block_groups_) + group / block_groups_) * kPanelRows + lane;
  GroupValues values = {Fp16ToFloat(group_scales()[block]), zero_, kNoOffset};
  if (scale_factors() != nullptr) values.scale *= static_cast<float>(scale_factors()[at]);
  if (group_zeros() != nullptr) values.zero = group_zeros()[at];
  if (group_offsets() != nullptr) values.offset = Fp16ToFloat(group_offsets()[block]);
  if (offset_factors() != nullptr) values.offset *= static_cast<float>(offset_factors()[at]);
  return values;
}

int PackedMatrix::CodeAt(int64_t row, int64_t col) const {
  const uint8_t* panel = data() + row / kPanelRows * PanelBytes(format_, cols_);
  if (format_ == WeightFormat::kInt8) return static_cast<int8_t>(panel[Int8Offset(row % kPanelRows, col)]);
  int shift = 0;
  const uint8_t byte = panel[Int4Offset(row % kPanelRows, col, &shift)];
  return (byte >> shift & 0xf) - kInt4Zero;
}

void PackedMatrix::DequantizeRow(int64_t row, float* out) const {
  if (format_ == WeightFormat::kFp16) {
    const uint16_t* halves =
        reinterpret_cast<const uint16_t*>(data() + row / kPanelRows * PanelBytes(format_, cols_)) + row % kPanelRows;
    for (int64_t col = 0; col < cols_; ++col) out[col] = Fp16ToFloat(halves[col * kPanelRows]);
    return;
  }
  const std::span<const int32_t> order = gather();
  GroupValues values = {group_size_ > 0 ? 0 : scales()[row], 0, kNoOffset};
  for (int64_t col = 0; col < cols_; ++col) {
    if (group_size_ > 0 && col % group_size_ == 0) values = GroupValuesOf(row, col / group_size_);
    const float product = values.scale * static_cast<float>(CodeAt(row, col) - values.zero);
    out[order.empty() ? col : order[col]] = product + values.offset;
  }
}

void PackedMatrix::DequantizeRows(int64_t begin, int64_t end, float* out) const {
  for (int64_t row = begin; row < end; ++row) DequantizeRow(row, out + (row - begin) * cols_);
}

}  // namespace uaqf::kernels
