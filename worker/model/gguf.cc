#include "worker/model/gguf.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/byte_reader.h"

namespace uaqf::model {
namespace {

// Far above any real model, far below what could hurt: Llama-3.1-405B has 1,138 tensors.
constexpr uint64_t kMaxTensors = 20000;
constexpr uint64_t kMaxPairs = 4096;
constexpr uint64_t kMaxName = 256;
constexpr uint64_t kMaxString = 16 << 20;
constexpr uint64_t kMaxArray = 16 << 20;
constexpr int64_t kMaxAlignment = 1 << 16;
constexpr uint32_t kMaxDims = 4;

// GGUF's numbers for value types.
enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

std::string Printable(std::string_view text) {
  return absl::CHexEscape(absl::string_view(text.data(), std::min<size_t>(text.size(), 80)));
}

template <typename... Parts>
absl::Status Malformed(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("malformed GGUF: ", parts..., "; download the file again"));
}

std::optional<TensorType> TypeFromGguf(uint32_t number) {
  switch (number) {
    case 0:
      return TensorType::kF32;
    case 1:
      return TensorType::kF16;
    case 2:
      return TensorType::kQ4_0;
    case 3:
      return TensorType::kQ4_1;
    case 8:
      return TensorType::kQ8_0;
    case 12:
      return TensorType::kQ4_K;
    case 14:
      return TensorType::kQ6_K;
    case 30:
      return TensorType::kBF16;
    default:
      return std::nullopt;
  }
}

// Bytes of one value of a number type; 0 for strings, arrays and unknown types.
uint64_t WidthOf(uint32_t type) {
  constexpr uint64_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < std::size(kWidths) ? kWidths[type] : 0;
}

int64_t ReadInt(ByteReader& reader, uint32_t type) {
  switch (type) {
    case kU8:
    case kBool:
      return reader.Read<uint8_t>();
    case kI8:
      return reader.Read<int8_t>();
    case kU16:
      return reader.Read<uint16_t>();
    case kI16:
      return reader.Read<int16_t>();
    case kU32:
      return reader.Read<uint32_t>();
    case kI32:
      return reader.Read<int32_t>();
    default:
      return reader.Read<int64_t>();  // a u64 above 2^63 turns negative, which no setting we read may be
  }
}

double ReadFloat(ByteReader& reader, uint32_t type) {
  return type == kF32 ? static_cast<double>(reader.Read<float>()) : reader.Read<double>();
}

absl::StatusOr<GgufMetadata::Value> ReadArray(ByteReader& reader, const std::string& key) {
  const auto type = reader.Read<uint32_t>();
  const auto count = reader.Read<uint64_t>();
  const uint64_t smallest = type == kString ? 8 : WidthOf(type);
  if (smallest == 0)
    return Malformed("array \"", Printable(key), "\" has elements of type ", type, ", expected 0-8, 10-12");
  if (count > kMaxArray || count > reader.remaining() / smallest) {
    return Malformed("array \"", Printable(key), "\" claims ", count, " elements, more than the file can hold");
  }
  if (type == kString) {
    std::vector<std::string> values;
    values.reserve(count);
    for (uint64_t i = 0; i < count && reader.ok(); ++i) values.push_back(reader.ReadString(kMaxString));
    return values;
  }
  if (type == kF32 || type == kF64) {
    std::vector<double> values(count);
    for (double& value : values) value = ReadFloat(reader, type);
    return values;
  }
  std::vector<int64_t> values(count);
  for (int64_t& value : values) value = ReadInt(reader, type);
  return values;
}

absl::StatusOr<GgufMetadata::Value> ReadValue(ByteReader& reader, const std::string& key) {
  const auto type = reader.Read<uint32_t>();
  if (type == kArray) return ReadArray(reader, key);
  if (type == kString) return reader.ReadString(kMaxString);
  if (type == kBool) return reader.Read<uint8_t>() != 0;
  if (type == kF32 || type == kF64) return ReadFloat(reader, type);
  if (WidthOf(type) == 0) return Malformed("key \"", Printable(key), "\" has type ", type, ", expected 0 to 12");
  return ReadInt(reader, type);
}

absl::StatusOr<GgufMetadata> ReadPairs(ByteReader& reader, uint64_t count) {
  GgufMetadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = reader.ReadString(kMaxString);
    absl::StatusOr<GgufMetadata::Value> value = ReadValue(reader, key);
    if (!reader.ok()) return Malformed("the metadata ends at pair ", i, " of ", count);
    if (!value.ok()) return value.status();
    std::string shown = Printable(key);
    if (!metadata.Insert(std::move(key), *std::move(value))) return Malformed("key \"", shown, "\" is there twice");
  }
  return metadata;
}

// One row of the tensor table; `begin` is still relative to the data.
absl::StatusOr<GgufTensor> ReadTensor(ByteReader& reader, const std::string& name) {
  const auto dims = reader.Read<uint32_t>();
  if (!reader.ok() || dims < 1 || dims > kMaxDims) {
    return Malformed("tensor \"", Printable(name), "\" has ", dims, " dimensions, expected 1 to ", kMaxDims);
  }
  int64_t columns = 0;
  int64_t rows = 1;
  int64_t elements = 0;
  for (uint32_t d = 0; d < dims; ++d) {
    const auto size = reader.Read<int64_t>();
    if (!reader.ok() || size < 1 || (d > 0 && __builtin_mul_overflow(rows, size, &rows))) {
      return Malformed("tensor \"", Printable(name), "\" has a dimension of ", size);
    }
    if (d == 0) columns = size;
  }
  const auto number = reader.Read<uint32_t>();
  const auto offset = reader.Read<uint64_t>();
  if (!reader.ok()) return Malformed("the tensor table ends inside \"", Printable(name), "\"");
  const std::optional<TensorType> type = TypeFromGguf(number);
  if (!type) {
    return absl::InvalidArgumentError(absl::StrCat("tensor \"", Printable(name), "\" has GGUF type ", number,
                                                   ", this build reads ", std::string(KnownTypeNames()),
                                                   "; convert the file to one of them"));
  }
  if (columns % BlockOf(*type).elements != 0 || __builtin_mul_overflow(rows, columns, &elements)) {
    return Malformed("tensor \"", Printable(name), "\" has ", rows, " rows of ", columns, ", no whole blocks of ",
                     std::string(TypeName(*type)));
  }
  absl::StatusOr<int64_t> bytes = BytesOf(*type, elements);
  if (!bytes.ok()) return bytes.status();
  return GgufTensor{*type, rows, columns, offset, static_cast<uint64_t>(*bytes)};
}

// Makes offsets absolute and checks that no two tensors share a byte.
absl::Status PlaceTensors(GgufFile& file, uint64_t data_begin, uint64_t file_size, uint64_t alignment) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (auto& [name, tensor] : file.tensors) {
    const uint64_t available = file_size - data_begin;
    if (tensor.begin % alignment != 0 || tensor.begin > available || tensor.bytes > available - tensor.begin) {
      return Malformed("tensor \"", Printable(name), "\" claims ", tensor.bytes, " bytes at offset ", tensor.begin,
                       " of ", available, " bytes of data (alignment ", alignment, ")");
    }
    tensor.begin += data_begin;
    ranges.emplace_back(tensor.begin, tensor.begin + tensor.bytes);
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return Malformed("two tensors overlap at byte ", ranges[i].first);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> AlignmentOf(const GgufMetadata& metadata) {
  if (!metadata.Has("general.alignment")) return 32;
  absl::StatusOr<int64_t> alignment = metadata.Int("general.alignment");
  if (!alignment.ok()) return alignment.status();
  if (*alignment < 1 || *alignment > kMaxAlignment || (*alignment & (*alignment - 1)) != 0) {
    return Malformed("alignment ", *alignment, ", expected a power of two up to ", kMaxAlignment);
  }
  return static_cast<uint64_t>(*alignment);
}

}  // namespace

template <typename T>
absl::StatusOr<const T*> GgufMetadata::Get(std::string_view key, std::string_view type) const {
  const auto found = values_.find(key);
  if (found == values_.end())
    return absl::NotFoundError(absl::StrCat("GGUF metadata has no \"", std::string(key), "\""));
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("GGUF metadata \"", std::string(key), "\" has another type, expected ", std::string(type)));
  }
  return value;
}

absl::StatusOr<int64_t> GgufMetadata::Int(std::string_view key) const {
  auto value = Get<int64_t>(key, "an integer");
  if (!value.ok()) return value.status();
  return **value;
}

absl::StatusOr<double> GgufMetadata::Float(std::string_view key) const {
  if (auto integer = Get<int64_t>(key, ""); integer.ok()) return static_cast<double>(**integer);
  auto value = Get<double>(key, "a number");
  if (!value.ok()) return value.status();
  return **value;
}

absl::StatusOr<bool> GgufMetadata::Bool(std::string_view key) const {
  auto value = Get<bool>(key, "a bool");
  if (!value.ok()) return value.status();
  return **value;
}

absl::StatusOr<std::string> GgufMetadata::String(std::string_view key) const {
  auto value = Get<std::string>(key, "a string");
  if (!value.ok()) return value.status();
  return **value;
}

absl::StatusOr<const std::vector<int64_t>*> GgufMetadata::Ints(std::string_view key) const {
  return Get<std::vector<int64_t>>(key, "an array of integers");
}

absl::StatusOr<const std::vector<double>*> GgufMetadata::Floats(std::string_view key) const {
  return Get<std::vector<double>>(key, "an array of floats");
}

absl::StatusOr<const std::vector<std::string>*> GgufMetadata::Strings(std::string_view key) const {
  return Get<std::vector<std::string>>(key, "an array of strings");
}

bool GgufMetadata::Insert(std::string key, Value value) {
  return values_.emplace(std::move(key), std::move(value)).second;
}

absl::StatusOr<GgufFile> ParseGguf(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  const auto magic = reader.Read<uint32_t>();
  const auto version = reader.Read<uint32_t>();
  const auto tensors = reader.Read<uint64_t>();
  const auto pairs = reader.Read<uint64_t>();
  if (!reader.ok() || magic != 0x46554747) return Malformed("no \"GGUF\" header in a file of ", bytes.size(), " bytes");
  if (version < 2 || version > 3) {
    return absl::InvalidArgumentError(absl::StrCat("got GGUF version ", version, ", expected 2 or 3 (little endian)"));
  }
  if (tensors > kMaxTensors) return Malformed(tensors, " tensors, expected at most ", kMaxTensors);
  if (pairs > kMaxPairs) return Malformed(pairs, " metadata pairs, expected at most ", kMaxPairs);

  absl::StatusOr<GgufMetadata> metadata = ReadPairs(reader, pairs);
  if (!metadata.ok()) return metadata.status();
  GgufFile file{*std::move(metadata), {}};
  for (uint64_t i = 0; i < tensors; ++i) {
    const std::string name = reader.ReadString(kMaxName);
    if (!reader.ok()) return Malformed("the tensor table ends at row ", i, " of ", tensors);
    absl::StatusOr<GgufTensor> tensor = ReadTensor(reader, name);
    if (!tensor.ok()) return tensor.status();
    if (!file.tensors.emplace(name, *tensor).second)
      return Malformed("tensor \"", Printable(name), "\" is there twice");
  }
  absl::StatusOr<uint64_t> alignment = AlignmentOf(file.metadata);
  if (!alignment.ok()) return alignment.status();
  const uint64_t data_begin = (reader.position() + *alignment - 1) / *alignment * *alignment;
  if (data_begin > bytes.size()) return Malformed("the file ends before its tensor data");
  absl::Status placed = PlaceTensors(file, data_begin, bytes.size(), *alignment);
  if (!placed.ok()) return placed;
  return file;
}

}  // namespace uaqf::model
