#include "kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/packed_layout.h"
#include "kernels/fp16.h"

namespace uaqf::kernels {
namespace {

using internal::kInt4Unit;
using internal::kInt4Zero;
using internal::kInt8Unit;
using internal::kPanelRows;

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

absl::Status CheckShape(int64_t rows, int64_t cols, size_t values) {
  if (rows <= 0 || cols <= 0) {
    return absl::InvalidArgumentError(absl::StrCat("got a matrix of ", rows, " x ", cols, ", expected at least 1 x 1"));
  }
  if (static_cast<int64_t>(values) != rows * cols) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", values, " values for a matrix of ", rows, " x ", cols, ", expected ", rows * cols));
  }
  return absl::OkStatus();
}

absl::Status CheckScaleCount(std::string_view what, size_t got, int64_t expected) {
  if (static_cast<int64_t>(got) == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("got ", got, " ", std::string(what), ", expected ", expected));
}

absl::Status CheckScales(const QuantizedWeights& w) {
  const bool grouped = w.granularity == ScaleGranularity::kPerGroup;
  if (grouped && (w.group_size <= 0 || w.group_size % kInt4Unit != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("got group size ", w.group_size, ", expected a positive multiple of ", kInt4Unit));
  }
  const int64_t scales = grouped ? 0 : w.granularity == ScaleGranularity::kPerRow ? w.rows : 1;
  const int64_t group_scales = grouped ? w.rows * CeilDiv(w.cols, w.group_size) : 0;
  if (absl::Status status = CheckScaleCount("scales", w.scales.size(), scales); !status.ok()) return status;
  if (absl::Status status = CheckScaleCount("group scales", w.group_scales.size(), group_scales); !status.ok()) {
    return status;
  }
  for (float scale : w.scales) {
    if (!std::isfinite(scale)) return absl::InvalidArgumentError("got a scale that is not finite");
  }
  for (uint16_t bits : w.group_scales) {
    if (!std::isfinite(Fp16ToFloat(bits))) {
      return absl::InvalidArgumentError(
          "got a group scale that is not finite in FP16: the group's largest weight is beyond FP16's range");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCodes(const QuantizedWeights& w) {
  if (w.format == WeightFormat::kFp16) {
    return absl::InvalidArgumentError("got FP16 as a quantized format, expected INT8 or INT4; use FromFp16");
  }
  if (w.format == WeightFormat::kInt8) return absl::OkStatus();
  for (size_t i = 0; i < w.codes.size(); ++i) {
    if (w.codes[i] < -8 || w.codes[i] > 7) {
      return absl::InvalidArgumentError(absl::StrCat("got INT4 code ", static_cast<int>(w.codes[i]), " at row ",
                                                     i / w.cols, ", column ", i % w.cols, ", expected -8 to 7"));
    }
  }
  return absl::OkStatus();
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

void PackGroupScales(const QuantizedWeights& w, uint16_t* scales) {
  const int64_t groups = CeilDiv(w.cols, w.group_size);
  for (int64_t row = 0; row < w.rows; ++row) {
    for (int64_t group = 0; group < groups; ++group) {
      scales[(row / kPanelRows * groups + group) * kPanelRows + row % kPanelRows] =
          w.group_scales[row * groups + group];
    }
  }
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
  if (absl::Status status = CheckShape(rows, cols, bits.size()); !status.ok()) return status;
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
  if (absl::Status status = CheckShape(w.rows, w.cols, w.codes.size()); !status.ok()) return status;
  if (absl::Status status = CheckScales(w); !status.ok()) return status;
  if (absl::Status status = CheckCodes(w); !status.ok()) return status;
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
  if (matrix.group_size_ > 0) {
    matrix.group_scales_ = AlignedBuffer(panels * CeilDiv(w.cols, w.group_size) * kPanelRows * 2);
    PackGroupScales(w, matrix.group_scales_.data<uint16_t>());
  } else {
    matrix.scales_ = AlignedBuffer(panels * kPanelRows * 4);
    const bool per_row = w.granularity == ScaleGranularity::kPerRow;
    for (int64_t row = 0; row < w.rows; ++row) matrix.scales_.data<float>()[row] = w.scales[per_row ? row : 0];
  }
  return matrix;
}

void PackedMatrix::DequantizeRow(int64_t row, float* out) const {
  const int64_t lane = row % kPanelRows;
  const uint8_t* panel = data() + row / kPanelRows * PanelBytes(format_, cols_);
  if (format_ == WeightFormat::kFp16) {
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(panel);
    for (int64_t col = 0; col < cols_; ++col) out[col] = Fp16ToFloat(halves[col * kPanelRows + lane]);
    return;
  }
  const int64_t groups = group_size_ > 0 ? CeilDiv(cols_, group_size_) : 0;
  for (int64_t col = 0; col < cols_; ++col) {
    int code = 0;
    if (format_ == WeightFormat::kInt8) {
      code = static_cast<int8_t>(panel[Int8Offset(lane, col)]);
    } else {
      int shift = 0;
      const uint8_t byte = panel[Int4Offset(lane, col, &shift)];
      code = (byte >> shift & 0xf) - kInt4Zero;
    }
    const float scale =
        groups > 0 ? Fp16ToFloat(group_scales()[(row / kPanelRows * groups + col / group_size_) * kPanelRows + lane])
                   : scales()[row];
    out[col] = static_cast<float>(code) * scale;
  }
}

void PackedMatrix::DequantizeRows(int64_t begin, int64_t end, float* out) const {
  for (int64_t row = begin; row < end; ++row) DequantizeRow(row, out + (row - begin) * cols_);
}

}  // namespace uaqf::kernels
