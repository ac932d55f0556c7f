#include "client/csv.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/failure.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

class Parser {
 public:
  Parser(absl::string_view bytes, const std::string& file, const CsvLimits& limits)
      : bytes_(bytes), file_(file), limits_(limits) {}

  absl::StatusOr<std::vector<CsvRow>> Run() {
    if (bytes_.size() > limits_.bytes) {
      return UsageError(
          absl::StrCat(file_, " has ", bytes_.size(), " bytes, expected at most ", limits_.bytes, " of CSV"));
    }
    if (const std::size_t valid = ValidUtf8Prefix(bytes_); valid < bytes_.size()) {
      line_ += static_cast<int>(std::count(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(valid), '\n'));
      return Bad("got bytes that are not UTF-8, expected text in UTF-8: save the file so");
    }
    absl::ConsumePrefix(&bytes_, kByteOrderMark);
    std::vector<CsvRow> rows;
    while (!bytes_.empty()) {
      CsvRow row{line_, {}};
      if (absl::Status status = ReadRow(&row); !status.ok()) return status;
      if (row.cells.size() == 1 && row.cells[0].empty()) continue;
      if (rows.size() == limits_.rows) {
        line_ = row.line;
        return Bad(absl::StrCat("expected at most ", limits_.rows, " rows"));
      }
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  absl::Status Bad(const std::string& problem) const {
    return UsageError(absl::StrCat(file_, ":", line_, ": ", problem));
  }

  // Up to the end of the line, which is consumed.
  absl::Status ReadRow(CsvRow* row) {
    while (true) {
      if (row->cells.size() == limits_.cells) return Bad(absl::StrCat("expected at most ", limits_.cells, " cells"));
      std::string& cell = row->cells.emplace_back();
      SkipBlanks();
      const absl::Status status = absl::StartsWith(bytes_, "\"") ? ReadQuoted(&cell) : ReadPlain(&cell);
      if (!status.ok()) return status;
      if (absl::ConsumePrefix(&bytes_, ",")) continue;
      if (absl::ConsumePrefix(&bytes_, "\r\n") || absl::ConsumePrefix(&bytes_, "\n")) ++line_;
      return absl::OkStatus();
    }
  }

  void SkipBlanks() {
    while (!bytes_.empty() && (bytes_[0] == ' ' || bytes_[0] == '\t')) bytes_.remove_prefix(1);
  }

  absl::Status ReadPlain(std::string* cell) {
    const absl::string_view text = bytes_.substr(0, bytes_.find_first_of(",\n"));
    const absl::string_view trimmed = absl::StripTrailingAsciiWhitespace(text);
    if (trimmed.find('"') != absl::string_view::npos) {
      return Bad("got a quote inside a cell, expected the whole cell in quotes, and \"\" for one inside");
    }
    if (trimmed.find('\r') != absl::string_view::npos) {
      return Bad("got a carriage return inside a line, expected lines that end with LF or CRLF");
    }
    *cell = std::string(trimmed);
    // The CR of a CRLF belongs to the line's end.
    const bool returns = absl::EndsWith(text, "\r") && absl::StartsWith(bytes_.substr(text.size()), "\n");
    bytes_.remove_prefix(text.size() - (returns ? 1 : 0));
    return absl::OkStatus();
  }

  absl::Status ReadQuoted(std::string* cell) {
    bytes_.remove_prefix(1);
    const int begun = line_;
    while (true) {
      const std::size_t quote = bytes_.find('"');
      if (quote == absl::string_view::npos) {
        line_ = begun;
        return Bad("got a cell whose quote is not closed, expected another one");
      }
      line_ += static_cast<int>(std::count(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(quote), '\n'));
      absl::StrAppend(cell, bytes_.substr(0, quote));
      bytes_.remove_prefix(quote + 1);
      if (!absl::ConsumePrefix(&bytes_, "\"")) break;
      cell->push_back('"');
    }
    SkipBlanks();
    const bool ends = bytes_.empty() || bytes_[0] == ',' || bytes_[0] == '\n' || absl::StartsWith(bytes_, "\r\n");
    return ends ? absl::OkStatus()
                : Bad("got text behind the quotes of a cell, expected a comma or the end of the line");
  }

  absl::string_view bytes_;
  const std::string& file_;
  const CsvLimits& limits_;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<CsvRow>> ParseCsv(absl::string_view bytes, const std::string& file,
                                             const CsvLimits& limits) {
  return Parser(bytes, file, limits).Run();
}

}  // namespace uaqf::client
