#include "worker/quantize/block_file.h"

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/model/digest.h"
#include "worker/model/safetensors.h"

namespace uaqf::quantize {
namespace {

constexpr char kFormat[] = "uaqf-block-1";

std::string NameOf(size_t projection, const char* part) {
  return absl::StrCat(std::string(ProjectionName(static_cast<Projection>(projection))), ".", part);
}

// One tensor of the listing that the checksum covers, so that a damaged header is found as well.
std::string Listed(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
                   uint64_t begin) {
  return absl::StrCat(name, " ", dtype, " ", absl::StrJoin(shape, "x"), " at ", begin, "\n");
}

// Names in their order; `data` is what follows the header.
std::string Checksum(const std::map<std::string, std::string>& listing, std::string_view data) {
  std::string all;
  for (const auto& [name, line] : listing) all += line;
  return model::Sha256(all + model::Sha256(data));
}

class Writer {
 public:
  template <typename T>
  void Add(const std::string& name, const char* dtype, const std::vector<int64_t>& shape,
           const std::vector<T>& values) {
    if (values.empty()) return;
    const size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    listing_[name] = Listed(name, dtype, shape, begin);
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
  }

  std::string Finish(nlohmann::json metadata) {
    metadata["sha256"] = Checksum(listing_, data_);
    header_["__metadata__"] = std::move(metadata);
    std::string text = header_.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins aligned
    const uint64_t length = text.size();
    std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
    return file + text + data_;
  }

 private:
  nlohmann::json header_;
  std::map<std::string, std::string> listing_;
  std::string data_;
};

std::vector<uint8_t> Halves(const std::vector<int8_t>& codes) {
  std::vector<uint8_t> packed(codes.size() / 2);
  for (size_t i = 0; i < packed.size(); ++i) {
    packed[i] = static_cast<uint8_t>((codes[2 * i] + 8) | ((codes[2 * i + 1] + 8) << 4));
  }
  return packed;
}

void AddMatrix(size_t projection, const QuantizedMatrix& m, Writer& writer) {
  if (m.bits == 4 && m.columns % 2 == 0) {
    writer.Add(NameOf(projection, "codes"), "U8", {m.rows, m.columns / 2}, Halves(m.codes));
  } else {
    writer.Add(NameOf(projection, "codes"), "I8", {m.rows, m.columns}, m.codes);
  }
  writer.Add(NameOf(projection, "scales"), "F32", {static_cast<int64_t>(m.scales.size())}, m.scales);
  writer.Add(NameOf(projection, "scales"), "F16", {m.rows, m.groups()}, m.group_scales);
  writer.Add(NameOf(projection, "zeros"), "I8", {m.rows, m.groups()}, m.zeros);
  writer.Add(NameOf(projection, "order"), "I32", {m.columns}, m.order);
  if (m.input_scale > 0) writer.Add(NameOf(projection, "input_scale"), "F32", {1}, std::vector<float>{m.input_scale});
}

// Reads the tensors of one file; the first failure stays in status().
class Reader {
 public:
  Reader(std::span<const uint8_t> file, const model::SafetensorsTable& table) : file_(file), table_(table) {}

  const absl::Status& status() const { return status_; }

  const model::SafetensorsTensor* Find(const std::string& name) const {
    const auto found = table_.find(name);
    return found == table_.end() ? nullptr : &found->second;
  }

  // Leaves `out` empty where there is no such tensor.
  template <typename T>
  void Optional(const std::string& name, const char* dtype, std::vector<T>& out) {
    const model::SafetensorsTensor* tensor = Find(name);
    if (tensor == nullptr) return;
    if (tensor->dtype != dtype) return Fail(absl::StrCat(name, " is ", tensor->dtype, ", expected ", dtype));
    out.resize(tensor->bytes / sizeof(T));
    std::memcpy(out.data(), file_.data() + tensor->begin, tensor->bytes);
  }

  void Matrix(size_t projection, QuantizedMatrix& m) {
    const std::string codes = NameOf(projection, "codes");
    const std::string scales = NameOf(projection, "scales");
    const model::SafetensorsTensor* stored = Find(codes);
    const model::SafetensorsTensor* scale = Find(scales);
    if (stored == nullptr || stored->shape.size() != 2 || scale == nullptr || scale->shape.empty()) {
      return Fail(absl::StrCat(codes, " or its scales are missing"));
    }
    const bool packed = stored->dtype == "U8";
    m.rows = stored->shape[0];
    m.columns = stored->shape[1] * (packed ? 2 : 1);
    m.bits = packed ? 4 : 8;
    if (packed) {
      const std::span<const uint8_t> halves = file_.subspan(stored->begin, stored->bytes);
      m.codes.resize(halves.size() * 2);
      for (size_t i = 0; i < halves.size(); ++i) {
        m.codes[2 * i] = static_cast<int8_t>((halves[i] & 15) - 8);
        m.codes[2 * i + 1] = static_cast<int8_t>((halves[i] >> 4) - 8);
      }
    } else {
      Optional(codes, "I8", m.codes);
    }
    if (scale->dtype == "F16") {
      m.granularity = Granularity::kGroup;
      m.group_size = m.columns / scale->shape.back();
      Optional(scales, "F16", m.group_scales);
    } else {
      m.granularity = scale->shape[0] == 1 ? Granularity::kTensor : Granularity::kChannel;
      Optional(scales, "F32", m.scales);
    }
    Optional(NameOf(projection, "zeros"), "I8", m.zeros);
    Optional(NameOf(projection, "order"), "I32", m.order);
    std::vector<float> input_scale;
    Optional(NameOf(projection, "input_scale"), "F32", input_scale);
    if (input_scale.size() == 1) m.input_scale = input_scale[0];
    if (status_.ok()) status_ = CheckMatrix(m);
  }

 private:
  void Fail(const std::string& message) { status_.Update(absl::DataLossError(message)); }

  std::span<const uint8_t> file_;
  const model::SafetensorsTable& table_;
  absl::Status status_;
};

// The tensors of a file that is whole and of that key and place.
absl::StatusOr<model::SafetensorsTable> CheckedTable(std::span<const uint8_t> file, const std::string& key,
                                                     int64_t index) {
  auto table = model::ParseSafetensorsHeader(file);
  if (!table.ok()) return absl::DataLossError(table.status().message());
  auto metadata = model::ParseSafetensorsMetadata(file);
  if (!metadata.ok()) return absl::DataLossError(metadata.status().message());
  uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof(header));  // the table was read, so it is there and in range
  const uint64_t data_begin = sizeof(header) + header;
  std::map<std::string, std::string> listing;
  for (const auto& [name, tensor] : *table) {
    listing[name] = Listed(name, tensor.dtype, tensor.shape, tensor.begin - data_begin);
  }
  const std::span<const uint8_t> data = file.subspan(data_begin);
  if ((*metadata)["sha256"] != Checksum(listing, {reinterpret_cast<const char*>(data.data()), data.size()})) {
    return absl::DataLossError("the checksum of its data is not the one in its header");
  }
  if ((*metadata)["format"] != kFormat || (*metadata)["key"] != key || (*metadata)["block"] != absl::StrCat(index)) {
    return absl::FailedPreconditionError("it is a block of another model, configuration or place");
  }
  return table;
}

}  // namespace

std::string WriteBlock(const QuantizedBlock& block, const std::string& key, int64_t index) {
  Writer writer;
  const auto vector = [&](const std::string& name, const std::vector<float>& values) {
    writer.Add(name, "F32", {static_cast<int64_t>(values.size())}, values);
  };
  vector("input_layernorm", block.attention_norm);
  vector("post_attention_layernorm", block.mlp_norm);
  for (size_t i = 0; i < kProjections; ++i) {
    AddMatrix(i, block.matrices[i], writer);
    vector(NameOf(i, "bias"), block.biases[i]);
  }
  return writer.Finish({{"format", kFormat}, {"key", key}, {"block", absl::StrCat(index)}});
}

absl::Status CheckBlock(std::span<const uint8_t> file, const std::string& key, int64_t index) {
  return CheckedTable(file, key, index).status();
}

absl::StatusOr<QuantizedBlock> ReadBlock(std::span<const uint8_t> file, const std::string& key, int64_t index) {
  const auto table = CheckedTable(file, key, index);
  if (!table.ok()) return table.status();
  QuantizedBlock block;
  Reader reader(file, *table);
  reader.Optional("input_layernorm", "F32", block.attention_norm);
  reader.Optional("post_attention_layernorm", "F32", block.mlp_norm);
  for (size_t i = 0; i < kProjections; ++i) {
    reader.Matrix(i, block.matrices[i]);
    reader.Optional(NameOf(i, "bias"), "F32", block.biases[i]);
  }
  if (!reader.status().ok()) return absl::DataLossError(reader.status().message());
  return block;
}

}  // namespace uaqf::quantize
