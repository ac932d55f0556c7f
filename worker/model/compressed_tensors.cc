#include "worker/model/compressed_tensors.h"

#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int8_t PackedAt(const RawTensor& tensor, int64_t first_word, int64_t index, int64_t stride, int bits) {
  const int64_t per_word = 32 / bits;
  const uint32_t word = WordAt(tensor, first_word + index / per_word * stride);
  const int code = static_cast<int>(word >> (bits * (index % per_word)) & ((1U << bits) - 1));
  return static_cast<int8_t>(code - (1 << (bits - 1)));
}

absl::Status ReadCodes(const RawTensor& weight, const QuantizationConfig& config, int64_t rows, int64_t columns,
                       RowRange range, StoredMatrix& matrix) {
  if (config.format == QuantizedFormat::kPackedIntegers) {
    const int64_t words = CeilDiv(columns * config.bits, 32);
    if (absl::Status status = CheckRaw("weight_packed", weight, "I32", {rows, words}); !status.ok()) return status;
    matrix.codes.resize(static_cast<size_t>(range.count * columns));
    for (int64_t row = 0; row < range.count; ++row) {
      for (int64_t col = 0; col < columns; ++col) {
        matrix.codes[static_cast<size_t>(row * columns + col)] =
            PackedAt(weight, (range.first + row) * words, col, 1, config.bits);
      }
    }
    return absl::OkStatus();
  }
  if (absl::Status status = CheckRaw("weight", weight, "I8", {rows, columns}); !status.ok()) return status;
  matrix.codes.resize(static_cast<size_t>(range.count * columns));
  const int half = 1 << (config.bits - 1);
  for (size_t i = 0; i < matrix.codes.size(); ++i) {
    const auto code = static_cast<int8_t>(weight.bytes[static_cast<size_t>(range.first * columns) + i]);
    if (code < -half || code >= half) {
      return absl::InvalidArgumentError(absl::StrCat("weight has the code ", static_cast<int>(code), ", expected ",
                                                     -half, " to ", half - 1, " for ", config.bits, " bits"));
    }
    matrix.codes[i] = code;
  }
  return absl::OkStatus();
}

// A zero for each row and group of the range.
absl::Status ReadZeros(const CompressedLayer& layer, const QuantizationConfig& config, int64_t rows, int64_t groups,
                       RowRange range, StoredMatrix& matrix) {
  if (!layer.zero_point) return absl::InvalidArgumentError("weight_zero_point is missing: weights are not symmetric");
  const bool packed = config.format == QuantizedFormat::kPackedIntegers;
  const RawTensor& zeros = *layer.zero_point;
  absl::Status status = packed ? CheckRaw("weight_zero_point", zeros, "I32", {CeilDiv(rows * config.bits, 32), groups})
                               : CheckRaw("weight_zero_point", zeros, "I8", {rows, groups});
  if (!status.ok()) return status;
  for (int64_t row = range.first; row < range.first + range.count; ++row) {
    for (int64_t group = 0; group < groups; ++group) {
      matrix.group_zeros.push_back(packed
                                       ? PackedAt(zeros, group, row, groups, config.bits)
                                       : static_cast<int8_t>(zeros.bytes[static_cast<size_t>(row * groups + group)]));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StoredMatrix> ReadCompressed(const CompressedLayer& layer, const QuantizationConfig& config,
                                            int64_t rows, int64_t columns, RowRange range) {
  StoredMatrix matrix;
  matrix.bits = config.bits;
  matrix.rows = range.count;
  matrix.columns = columns;
  if (absl::Status status = ReadCodes(layer.weight, config, rows, columns, range, matrix); !status.ok()) return status;

  const bool whole = config.scales == QuantizedScales::kMatrix;
  if (whole && !config.symmetric) {
    return absl::InvalidArgumentError("got one zero point for a whole matrix, expected symmetric weights or rows");
  }
  if (config.scales == QuantizedScales::kGroup || !config.symmetric) matrix.group_size = GroupSizeOf(config, columns);
  const int64_t per_row = matrix.group_size > 0 ? matrix.groups() : 1;
  absl::StatusOr<std::vector<float>> scales = FloatValues("weight_scale", layer.scale, whole ? 1 : rows * per_row);
  if (!scales.ok()) return scales.status();
  if (whole) {
    matrix.scales = *std::move(scales);
    return matrix;
  }
  const auto begin = scales->begin() + range.first * per_row;
  const std::vector<float> own(begin, begin + range.count * per_row);
  if (matrix.group_size == 0) {
    matrix.scales = own;
    return matrix;
  }
  absl::StatusOr<std::vector<uint16_t>> halves = ExactHalves("weight_scale", own);
  if (!halves.ok()) return halves.status();
  matrix.group_scales = *std::move(halves);
  if (!config.symmetric) {
    absl::Status status = ReadZeros(layer, config, rows, per_row, range, matrix);
    if (!status.ok()) return status;
  }
  if (layer.g_idx) {
    absl::Status status = CheckRaw("weight_g_idx", *layer.g_idx, "I32", {columns});
    status.Update(status.ok() ? OrderColumns(Int32Values(*layer.g_idx), matrix) : status);
    if (!status.ok()) return status;
  }
  return matrix;
}

}  // namespace uaqf::model
