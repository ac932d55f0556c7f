#include "worker/model/quantized_layers.h"

#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "worker/model/awq.h"
#include "worker/model/compressed_tensors.h"
#include "worker/model/gptq.h"

namespace uaqf::model {
namespace {

constexpr std::string_view kWeight = ".weight";

std::string PrefixOf(const std::string& name) {
  return name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : "";
}

// The tensor that holds a layer's codes.
std::string CodesOf(const std::string& prefix, QuantizedFormat format) {
  switch (format) {
    case QuantizedFormat::kGptq:
    case QuantizedFormat::kGptqV2:
    case QuantizedFormat::kAwqGemm:
      return prefix + ".qweight";
    case QuantizedFormat::kPackedIntegers:
      return prefix + ".weight_packed";
    case QuantizedFormat::kPlainIntegers:
      return prefix + ".weight";
    case QuantizedFormat::kNone:
      break;
  }
  return "";
}

// Words hold whole inputs and maybe some more; weight_shape, two numbers of 64 bits, says where those begin. One that
// the words contradict is not believed.
int64_t ColumnsOfWords(int64_t words, int64_t per_word, const std::optional<RawTensor>& shape) {
  int64_t columns = words * per_word;
  if (!shape || shape->dtype != "I64" || shape->shape != std::vector<int64_t>{2}) return columns;
  int64_t said = 0;
  std::memcpy(&said, shape->bytes.data() + sizeof(int64_t), sizeof(int64_t));
  return said > columns - per_word && said <= columns ? said : columns;
}

}  // namespace

std::optional<QuantizedLayers::Size> QuantizedLayers::Find(const std::string& name) const {
  const std::string prefix = PrefixOf(name);
  if (config_.format == QuantizedFormat::kNone || prefix.empty()) return std::nullopt;
  const std::optional<RawTensor> codes = find_(CodesOf(prefix, config_.format));
  if (!codes || codes->shape.size() != 2) return std::nullopt;
  const int64_t per_word = 32 / config_.bits;
  const int64_t first = codes->shape[0];
  const int64_t second = codes->shape[1];
  switch (config_.format) {
    case QuantizedFormat::kAwqGemm:
      return Size{second * per_word, first};
    case QuantizedFormat::kPackedIntegers:
      return Size{first, ColumnsOfWords(second, per_word, find_(prefix + ".weight_shape"))};
    case QuantizedFormat::kPlainIntegers:
      if (codes->dtype != "I8") return std::nullopt;
      return Size{first, second};
    default:
      return Size{second, first * per_word};
  }
}

absl::StatusOr<StoredMatrix> QuantizedLayers::Read(const std::string& name, RowRange range) const {
  const std::optional<Size> size = Find(name);
  if (!size) return absl::NotFoundError(absl::StrCat(name, " is not quantized"));
  if (range.first < 0 || range.count < 1 || range.count > size->rows || range.first > size->rows - range.count) {
    return absl::InvalidArgumentError(absl::StrCat("asked for rows ", range.first, " to ", range.first + range.count,
                                                   " of ", name, ", it has ", size->rows));
  }
  absl::StatusOr<StoredMatrix> matrix = ReadLayer(PrefixOf(name), *size, range);
  if (matrix.ok()) return matrix;
  return absl::Status(matrix.status().code(), absl::StrCat(PrefixOf(name), ": ", matrix.status().message()));
}

absl::StatusOr<StoredMatrix> QuantizedLayers::ReadLayer(const std::string& prefix, const Size& size,
                                                        RowRange range) const {
  absl::Status missing;
  const auto need = [&](const char* suffix) {
    std::optional<RawTensor> tensor = find_(prefix + suffix);
    if (!tensor) missing.Update(absl::InvalidArgumentError(absl::StrCat("has no tensor ", suffix + 1)));
    return tensor.value_or(RawTensor{});
  };
  const RawTensor codes = *find_(CodesOf(prefix, config_.format));
  switch (config_.format) {
    case QuantizedFormat::kGptq:
    case QuantizedFormat::kGptqV2: {
      const GptqLayer layer = {codes, need(".qzeros"), need(".scales"), find_(prefix + ".g_idx")};
      if (!missing.ok()) return missing;
      return ReadGptq(layer, config_, size.rows, size.columns, range);
    }
    case QuantizedFormat::kAwqGemm: {
      const AwqLayer layer = {codes, need(".qzeros"), need(".scales")};
      if (!missing.ok()) return missing;
      return ReadAwq(layer, config_, size.rows, size.columns, range);
    }
    default: {
      const CompressedLayer layer = {codes, need(".weight_scale"), find_(prefix + ".weight_zero_point"),
                                     find_(prefix + ".weight_g_idx")};
      if (!missing.ok()) return missing;
      return ReadCompressed(layer, config_, size.rows, size.columns, range);
    }
  }
}

}  // namespace uaqf::model
