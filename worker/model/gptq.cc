#include "worker/model/gptq.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

struct Shape {
  int64_t rows;
  int64_t columns;
  int64_t groups;
  int64_t per_word;  // codes in a word
};

absl::Status CheckTensors(const GptqLayer& layer, const Shape& shape, int bits) {
  if (shape.columns % shape.per_word != 0 || shape.rows % shape.per_word != 0) {
    return absl::InvalidArgumentError(absl::StrCat("got a GPTQ layer of ", shape.rows, " x ", shape.columns,
                                                   ", expected multiples of ", shape.per_word, ", which fill words of ",
                                                   bits, "-bit codes"));
  }
  absl::Status status = CheckRaw("qweight", layer.qweight, "I32", {shape.columns / shape.per_word, shape.rows});
  status.Update(CheckRaw("qzeros", layer.qzeros, "I32", {shape.groups, shape.rows / shape.per_word}));
  if (layer.g_idx) status.Update(CheckRaw("g_idx", *layer.g_idx, "I32", {shape.columns}));
  return status;
}

// Codes of the range, in the order of the inputs: columns of a tile together, so that its words stay in the cache.
void ReadCodes(const GptqLayer& layer, const Shape& shape, int bits, RowRange range, int8_t* codes) {
  constexpr int64_t kTileWords = 16;
  const int64_t words = shape.columns / shape.per_word;
  const uint32_t mask = (1U << bits) - 1;
  const int half = 1 << (bits - 1);
  for (int64_t begin = 0; begin < words; begin += kTileWords) {
    const int64_t end = std::min(words, begin + kTileWords);
    for (int64_t row = 0; row < range.count; ++row) {
      int8_t* out = codes + row * shape.columns + begin * shape.per_word;
      for (int64_t word = begin; word < end; ++word) {
        uint32_t packed = WordAt(layer.qweight, word * shape.rows + range.first + row);
        for (int64_t i = 0; i < shape.per_word; ++i, packed >>= bits) {
          *out++ = static_cast<int8_t>(static_cast<int>(packed & mask) - half);
        }
      }
    }
  }
}

void ReadZeros(const GptqLayer& layer, const Shape& shape, const QuantizationConfig& config, RowRange range,
               std::vector<int8_t>& zeros) {
  const uint32_t mask = (1U << config.bits) - 1;
  const uint32_t missing = config.format == QuantizedFormat::kGptq ? 1 : 0;
  const int half = 1 << (config.bits - 1);
  for (int64_t row = range.first; row < range.first + range.count; ++row) {
    for (int64_t group = 0; group < shape.groups; ++group) {
      const uint32_t word = WordAt(layer.qzeros, group * (shape.rows / shape.per_word) + row / shape.per_word);
      // A stored zero of all ones wraps to 0, as the releases' own kernels have it.
      const uint32_t zero = ((word >> (config.bits * (row % shape.per_word))) + missing) & mask;
      zeros.push_back(static_cast<int8_t>(static_cast<int>(zero) - half));
    }
  }
}

absl::Status ReadScales(const GptqLayer& layer, const Shape& shape, RowRange range, std::vector<uint16_t>& halves) {
  absl::StatusOr<std::vector<float>> scales = FloatValues("scales", layer.scales, shape.groups * shape.rows);
  if (!scales.ok()) return scales.status();
  std::vector<float> own;
  for (int64_t row = range.first; row < range.first + range.count; ++row) {
    for (int64_t group = 0; group < shape.groups; ++group) {
      own.push_back((*scales)[static_cast<size_t>(group * shape.rows + row)]);
    }
  }
  absl::StatusOr<std::vector<uint16_t>> exact = ExactHalves("scales", own);
  if (!exact.ok()) return exact.status();
  halves = *std::move(exact);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StoredMatrix> ReadGptq(const GptqLayer& layer, const QuantizationConfig& config, int64_t rows,
                                      int64_t columns, RowRange range) {
  StoredMatrix matrix;
  matrix.bits = config.bits;
  matrix.rows = range.count;
  matrix.columns = columns;
  matrix.group_size = GroupSizeOf(config, columns);
  const Shape shape = {rows, columns, matrix.groups(), 32 / config.bits};
  if (absl::Status status = CheckTensors(layer, shape, config.bits); !status.ok()) return status;
  if (absl::Status status = ReadScales(layer, shape, range, matrix.group_scales); !status.ok()) return status;
  ReadZeros(layer, shape, config, range, matrix.group_zeros);
  matrix.codes.resize(static_cast<size_t>(range.count * columns));
  ReadCodes(layer, shape, config.bits, range, matrix.codes.data());
  if (layer.g_idx) {
    absl::Status status = OrderColumns(Int32Values(*layer.g_idx), matrix);
    if (!status.ok()) return status;
  }
  return matrix;
}

}  // namespace uaqf::model
