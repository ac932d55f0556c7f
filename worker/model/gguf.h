// The GGUF container (versions 2 and 3, little endian): metadata and the table of tensors.
//
//   "GGUF" | u32 version | u64 tensors | u64 pairs
//   pairs:   string key | u32 type | value             string = u64 length | bytes
//   tensors: string name | u32 dims | u64 dim[dims] (fastest first) | u32 type | u64 offset
//   padding to general.alignment (32) | tensor data, each tensor aligned
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/model/tensor_type.h"

namespace uaqf::model {

// Key/value pairs as the file holds them. Getters return NOT_FOUND for an absent key and INVALID_ARGUMENT for one of
// another type; both messages name the key. Immutable after parsing, so thread-safe; pointers live as long as this.
class GgufMetadata {
 public:
  // Every integer width becomes int64_t, both float widths double, arrays of bool an array of 0 and 1.
  using Value = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>,
                             std::vector<std::string>>;

  bool Has(std::string_view key) const { return values_.find(key) != values_.end(); }
  absl::StatusOr<int64_t> Int(std::string_view key) const;
  absl::StatusOr<double> Float(std::string_view key) const;  // an integer is accepted too
  absl::StatusOr<bool> Bool(std::string_view key) const;
  absl::StatusOr<std::string> String(std::string_view key) const;
  absl::StatusOr<const std::vector<int64_t>*> Ints(std::string_view key) const;
  absl::StatusOr<const std::vector<double>*> Floats(std::string_view key) const;
  absl::StatusOr<const std::vector<std::string>*> Strings(std::string_view key) const;

  // False when the key is there already.
  [[nodiscard]] bool Insert(std::string key, Value value);

 private:
  template <typename T>
  absl::StatusOr<const T*> Get(std::string_view key, std::string_view type) const;

  std::map<std::string, Value, std::less<>> values_;
};

// A tensor of the file, seen as a matrix of `rows` rows of `columns` numbers, row-major.
struct GgufTensor {
  TensorType type;
  int64_t rows;
  int64_t columns;
  uint64_t begin;  // byte offset from the start of the file
  uint64_t bytes;
};

struct GgufFile {
  GgufMetadata metadata;
  std::map<std::string, GgufTensor, std::less<>> tensors;
};

// Reads the tables of a whole GGUF file; touches no tensor data. INVALID_ARGUMENT for anything malformed: every count,
// size and offset is checked against the file and against caps before use, tensors may neither overlap nor leave the
// file, and names are unique.
absl::StatusOr<GgufFile> ParseGguf(std::span<const uint8_t> file);

}  // namespace uaqf::model
