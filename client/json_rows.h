// Files of JSON rows that people hand us. Pure functions over bytes; one row is in memory at a time.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace uaqf::client {

using Json = nlohmann::json;

// What is wrong with one row, as "got …, expected …"; empty when nothing is.
using Problem = std::string;

// "null", "number", "string", …
std::string JsonKind(const Json& value);

// The string under `key`; leaves `out` alone where there is none.
Problem ReadString(const Json& object, const char* key, std::string* out);

// `line` as one JSON object, such as `example`: UTF-8, no key twice.
Problem ParseObject(absl::string_view line, absl::string_view example, Json* object);

// Collects what is wrong with a file; the first ten are told.
class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}
  void Add(int line, const Problem& problem);
  bool empty() const { return told_.empty(); }
  // InvalidArgument: "file:line: got …, expected …" on a line each.
  [[nodiscard]] absl::Status ToStatus() const;

 private:
  std::string file_;
  std::vector<std::string> told_;
  std::size_t more_ = 0;
};

// Calls `take` with every row of `bytes`, the content of `file`, and the line it begins on. The file is JSON Lines
// (blank lines left out), one JSON array of objects, or, with an `array_key`, one object with that array under the key.
// InvalidArgument: rows that are not objects such as `example`, and what `take` found wrong, see Problems; no rows.
[[nodiscard]] absl::Status ReadRows(absl::string_view bytes, const std::string& file, const char* array_key,
                                    absl::string_view example,
                                    const std::function<Problem(const Json& row, int line)>& take);

}  // namespace uaqf::client
