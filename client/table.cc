#include "client/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/calibration.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

constexpr int kGap = 2;

std::string Pad(const std::string& cell, int width, Align align, bool last) {
  const std::string fill(static_cast<std::size_t>(std::max(0, width - DisplayWidth(cell))), ' ');
  if (align == Align::kRight) return fill + cell;
  return last ? cell : cell + fill;
}

std::string Shown(const std::string& cell) { return cell.empty() ? "-" : Printable(WithShortDigests(cell)); }

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::DropEmptyColumns() {
  for (std::size_t c = columns_.size(); c-- > 0;) {
    if (!std::all_of(rows_.begin(), rows_.end(), [c](const auto& row) { return row[c].empty(); })) continue;
    columns_.erase(columns_.begin() + static_cast<std::ptrdiff_t>(c));
    for (auto& row : rows_) row.erase(row.begin() + static_cast<std::ptrdiff_t>(c));
  }
}

std::string Table::Text(const Terminal& terminal) const {
  std::vector<int> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    int width = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(Shown(row[c])));
    widths.push_back(width);
  }
  const auto line = [&](auto cell_of, Style style) {
    std::string text;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) text.append(kGap, ' ');
      text += Pad(cell_of(c), widths[c], columns_[c].align, c + 1 == columns_.size());
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return absl::StrCat(terminal.Paint(style, text), "\n");
  };
  std::string out = line([&](std::size_t c) { return columns_[c].title; }, Style::kBold);
  for (const auto& row : rows_) out += line([&](std::size_t c) { return Shown(row[c]); }, Style::kPlain);
  return out;
}

std::string Table::Csv() const {
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  std::string out = CsvLine(titles);
  for (const auto& row : rows_) out += CsvLine(row);
  return out;
}

std::string CsvLine(const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    if (c > 0) line += ',';
    const std::string& cell = cells[c];
    if (cell.find_first_of(",\"\r\n") == std::string::npos) {
      line += cell;
      continue;
    }
    line += '"';
    for (const char ch : cell) {
      if (ch == '"') line += '"';
      line += ch;
    }
    line += '"';
  }
  return line + "\n";
}

}  // namespace uaqf::client
