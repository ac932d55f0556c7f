#include "worker/model/awq.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

constexpr int64_t kPerWord = 8;

// Code of output `row` in a row of words, counted from -8.
int8_t CodeAt(const RawTensor& tensor, int64_t first_word, int64_t row) {
  constexpr int kNibbleOf[kPerWord] = {0, 4, 1, 5, 2, 6, 3, 7};
  const uint32_t word = WordAt(tensor, first_word + row / kPerWord);
  return static_cast<int8_t>(static_cast<int>(word >> (4 * kNibbleOf[row % kPerWord]) & 15) - 8);
}

}  // namespace

absl::StatusOr<StoredMatrix> ReadAwq(const AwqLayer& layer, const QuantizationConfig& config, int64_t rows,
                                     int64_t columns, RowRange range) {
  StoredMatrix matrix;
  matrix.bits = 4;
  matrix.rows = range.count;
  matrix.columns = columns;
  matrix.group_size = GroupSizeOf(config, columns);
  const int64_t groups = matrix.groups();
  if (rows % kPerWord != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("got an AWQ layer of ", rows, " outputs, expected a multiple of 8, which fill words"));
  }
  absl::Status status = CheckRaw("qweight", layer.qweight, "I32", {columns, rows / kPerWord});
  status.Update(CheckRaw("qzeros", layer.qzeros, "I32", {groups, rows / kPerWord}));
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<float>> scales = FloatValues("scales", layer.scales, groups * rows);
  if (!scales.ok()) return scales.status();

  std::vector<float> own;
  for (int64_t row = range.first; row < range.first + range.count; ++row) {
    for (int64_t group = 0; group < groups; ++group) {
      own.push_back((*scales)[static_cast<size_t>(group * rows + row)]);
      matrix.group_zeros.push_back(CodeAt(layer.qzeros, group * (rows / kPerWord), row));
    }
  }
  absl::StatusOr<std::vector<uint16_t>> halves = ExactHalves("scales", own);
  if (!halves.ok()) return halves.status();
  matrix.group_scales = *std::move(halves);

  matrix.codes.resize(static_cast<size_t>(range.count * columns));
  constexpr int64_t kTile = 64;  // columns whose words stay in the cache for the next outputs
  for (int64_t begin = 0; begin < columns; begin += kTile) {
    const int64_t end = std::min(columns, begin + kTile);
    for (int64_t row = 0; row < range.count; ++row) {
      int8_t* codes = matrix.codes.data() + row * columns;
      for (int64_t col = begin; col < end; ++col) {
        codes[col] = CodeAt(layer.qweight, col * (rows / kPerWord), range.first + row);
      }
    }
  }
  return matrix;
}

}  // namespace uaqf::model
