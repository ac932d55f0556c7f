// Reads CSV as RFC 4180 has it: the other way of CsvLine (table.h).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace uaqf::client {

struct CsvRow {
  int line = 0;  // that it begins on, from 1
  std::vector<std::string> cells;
};

// What a file may hold at most; more is refused before it takes memory.
struct CsvLimits {
  std::size_t bytes = 1 << 20;
  std::size_t rows = 10'000;
  std::size_t cells = 64;  // of a row
};

// The rows of `bytes`, the content of `file`, blank lines left out. Lines end with LF or CRLF; a byte order mark is
// read over; white space around a cell without quotes is not part of it. Pure. InvalidArgument with the line: not
// UTF-8, a quote that is not closed or stands inside a cell, over a limit.
[[nodiscard]] absl::StatusOr<std::vector<CsvRow>> ParseCsv(absl::string_view bytes, const std::string& file,
                                                           const CsvLimits& limits = {});

}  // namespace uaqf::client
