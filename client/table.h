// Rows and columns, as aligned text for people and as CSV for programs.
#pragma once

#include <string>
#include <vector>

#include "client/terminal.h"

namespace uaqf::client {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns);

  // As many cells as there are columns. An empty cell is shown as "-" in text, and stays empty in CSV.
  void AddRow(std::vector<std::string> cells);
  // Drops the columns, if any, in which every cell is empty.
  void DropEmptyColumns();
  bool empty() const { return rows_.empty(); }

  // A header in bold and a line for each row, columns two spaces apart, widths in display columns, no trailing spaces.
  std::string Text(const Terminal& terminal) const;
  // RFC 4180 with line ends of one LF: a cell with a comma, a quote or a line break is quoted.
  std::string Csv() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// One line of CSV with its line end.
std::string CsvLine(const std::vector<std::string>& cells);

}  // namespace uaqf::client
