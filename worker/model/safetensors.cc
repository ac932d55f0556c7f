#include "worker/model/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/bounded_json.h"
#include "worker/model/byte_reader.h"

namespace uaqf::model {
namespace {

constexpr uint64_t kMaxHeader = 100 << 20;
constexpr size_t kMaxTensors = 20000;
constexpr size_t kMaxRank = 8;

template <typename... Parts>
absl::Status Malformed(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("malformed safetensors: ", parts..., "; download the file again"));
}

std::string Printable(const std::string& name) { return absl::CHexEscape(name.substr(0, 80)); }

// 0 for a type the format does not have.
int64_t BytesOfDtype(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
  return 0;
}

// A JSON integer from 0 to 2^63 - 1; floats, negatives and strings are not.
bool ReadSize(const nlohmann::json& value, int64_t& out) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) return false;
  out = value.get<int64_t>();
  return true;
}

absl::StatusOr<SafetensorsTensor> ReadTensor(const std::string& name, const nlohmann::json& entry) {
  const std::string shown = Printable(name);
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() || !entry.contains("shape") ||
      !entry["shape"].is_array() || !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
      entry["data_offsets"].size() != 2) {
    return Malformed("tensor \"", shown, "\" lacks dtype, shape or two data_offsets");
  }
  SafetensorsTensor tensor;
  tensor.dtype = entry["dtype"].get<std::string>();
  int64_t bytes = BytesOfDtype(tensor.dtype);
  if (bytes == 0) return Malformed("tensor \"", shown, "\" has dtype \"", Printable(tensor.dtype), "\"");
  if (entry["shape"].size() > kMaxRank)
    return Malformed("tensor \"", shown, "\" has more than ", kMaxRank, " dimensions");
  for (const nlohmann::json& dimension : entry["shape"]) {
    int64_t size = 0;
    if (!ReadSize(dimension, size) || size == 0)
      return Malformed("tensor \"", shown, "\" has a bad or empty dimension");
    if (__builtin_mul_overflow(bytes, size, &bytes))
      return Malformed("tensor \"", shown, "\" has a shape over 2^63 bytes");
    tensor.shape.push_back(size);
  }
  int64_t begin = 0;
  int64_t end = 0;
  if (!ReadSize(entry["data_offsets"][0], begin) || !ReadSize(entry["data_offsets"][1], end) || begin > end ||
      end - begin != bytes) {
    return Malformed("tensor \"", shown, "\" needs ", bytes, " bytes, its offsets are ", entry["data_offsets"].dump());
  }
  tensor.begin = static_cast<uint64_t>(begin);
  tensor.bytes = static_cast<uint64_t>(bytes);
  return tensor;
}

// The data must be covered once, without gaps: then no byte has two meanings, or none.
absl::Status PlaceTensors(SafetensorsTable& table, uint64_t data_begin, uint64_t data_size) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (auto& [name, tensor] : table) {
    ranges.emplace_back(tensor.begin, tensor.bytes);
    tensor.begin += data_begin;
  }
  std::sort(ranges.begin(), ranges.end());
  uint64_t next = 0;
  for (const auto& [begin, bytes] : ranges) {
    if (begin != next)
      return Malformed("tensors overlap or leave a gap at byte ", std::min(begin, next), " of the data");
    if (bytes > data_size - next)
      return Malformed("tensors need more than the ", data_size, " bytes of data there are");
    next += bytes;
  }
  if (next != data_size) return Malformed("tensors cover ", next, " of ", data_size, " bytes of data");
  return absl::OkStatus();
}

struct Header {
  nlohmann::json json;  // an object
  uint64_t data_begin;
};

absl::StatusOr<Header> ReadHeader(std::span<const uint8_t> file) {
  ByteReader reader(file);
  const auto length = reader.Read<uint64_t>();
  if (!reader.ok() || length > kMaxHeader || length > reader.remaining()) {
    return Malformed("a header of ", length, " bytes in a file of ", file.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + reader.position(), length);
  absl::StatusOr<nlohmann::json> header =
      ParseJson(text, "safetensors header", {.max_bytes = kMaxHeader, .max_depth = 8});
  if (!header.ok()) return header.status();
  if (!header->is_object()) return Malformed("the header is no JSON object");
  if (header->size() > kMaxTensors + 1) return Malformed(header->size(), " tensors, expected at most ", kMaxTensors);
  return Header{*std::move(header), reader.position() + length};
}

}  // namespace

absl::StatusOr<SafetensorsTable> ParseSafetensorsHeader(std::span<const uint8_t> file) {
  absl::StatusOr<Header> header = ReadHeader(file);
  if (!header.ok()) return header.status();
  SafetensorsTable table;
  for (const auto& [name, entry] : header->json.items()) {
    if (name == "__metadata__") continue;
    absl::StatusOr<SafetensorsTensor> tensor = ReadTensor(name, entry);
    if (!tensor.ok()) return tensor.status();
    table.emplace(name, *std::move(tensor));
  }
  absl::Status placed = PlaceTensors(table, header->data_begin, file.size() - header->data_begin);
  if (!placed.ok()) return placed;
  return table;
}

absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsMetadata(std::span<const uint8_t> file) {
  absl::StatusOr<Header> header = ReadHeader(file);
  if (!header.ok()) return header.status();
  std::map<std::string, std::string> metadata;
  const auto found = header->json.find("__metadata__");
  if (found == header->json.end()) return metadata;
  if (!found->is_object()) return Malformed("__metadata__ is no JSON object");
  for (const auto& [name, value] : found->items()) {
    if (!value.is_string()) return Malformed("__metadata__ holds \"", Printable(name), "\", which is no text");
    metadata.emplace(name, value.get<std::string>());
  }
  return metadata;
}

}  // namespace uaqf::model
