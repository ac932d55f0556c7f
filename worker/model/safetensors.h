// The safetensors container.
//
//   u64 header length | JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}} | data
//
// Offsets count from the end of the header.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace uaqf::model {

struct SafetensorsTensor {
  std::string dtype;  // as the file names it: "F16", "I32", ...
  std::vector<int64_t> shape;
  uint64_t begin;  // byte offset from the start of the file
  uint64_t bytes;
};

using SafetensorsTable = std::map<std::string, SafetensorsTensor, std::less<>>;

// Reads the header of a whole file; touches no tensor data. INVALID_ARGUMENT for anything malformed: header larger than
// 100 MiB or than the file, more than 20,000 tensors, unknown dtype, empty tensors, a shape whose bytes are not those
// of its offsets (with overflow checked), offsets outside the file, overlaps or gaps, duplicate names, deep JSON.
absl::StatusOr<SafetensorsTable> ParseSafetensorsHeader(std::span<const uint8_t> file);

// The "__metadata__" of such a header, text to text; empty where there is none. INVALID_ARGUMENT for a malformed
// header.
absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsMetadata(std::span<const uint8_t> file);

}  // namespace uaqf::model
