#include "client/published_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/csv.h"
#include "client/failure.h"
#include "client/json_rows.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

constexpr std::array<const char*, 5> kColumns = {"variant", "latency_ms", "throughput_tokens_per_s",
                                                 "perplexity_change", "memory_gb"};
enum Place { kVariant, kLatency, kThroughput, kPerplexity, kMemory };
constexpr char kBaseline[] = "fp16";
constexpr std::size_t kLongestLabel = 128;
constexpr double kLargest = 1e9;  // of a figure

using Places = std::array<std::size_t, kColumns.size()>;

absl::StatusOr<Places> PlacesOf(const CsvRow& header, const std::string& file) {
  Places places;
  places.fill(header.cells.size());
  const std::string expected = absl::StrJoin(kColumns, ",");
  for (std::size_t i = 0; i < header.cells.size(); ++i) {
    const auto known = std::find(kColumns.begin(), kColumns.end(), header.cells[i]);
    if (known == kColumns.end() || places[static_cast<std::size_t>(known - kColumns.begin())] != header.cells.size()) {
      return UsageError(absl::StrCat(file, ":", header.line, ": got the column \"", header.cells[i], "\"",
                                     known == kColumns.end() ? "" : " twice", ", expected the header ", expected));
    }
    places[static_cast<std::size_t>(known - kColumns.begin())] = i;
  }
  for (std::size_t c = 0; c < kColumns.size(); ++c) {
    if (places[c] < header.cells.size()) continue;
    return UsageError(
        absl::StrCat(file, ":", header.line, ": no column ", kColumns[c], ", expected the header ", expected));
  }
  return places;
}

// One cell as a number; absent when it is empty.
Problem ReadNumber(const CsvRow& row, const Places& places, Place place, bool positive, std::optional<double>* out) {
  const std::string& cell = row.cells[places[place]];
  if (cell.empty()) return "";
  double value = 0;
  const bool number = absl::SimpleAtod(cell, &value) && std::isfinite(value) && std::abs(value) <= kLargest;
  if (!number || (positive && value <= 0)) {
    return absl::StrCat("got ", kColumns[place], " = \"", cell, "\", expected a number", positive ? " above 0" : "",
                        ", or nothing where none was published");
  }
  *out = value;
  return "";
}

Problem ReadRow(const CsvRow& row, const Places& places, v1::ImportedVariant* variant) {
  if (row.cells.size() != kColumns.size()) {
    return absl::StrCat("got ", row.cells.size(), " cells, expected ", kColumns.size(), " as in the header");
  }
  const std::string& label = row.cells[places[kVariant]];
  if (label.empty() || label.size() > kLongestLabel ||
      std::any_of(label.begin(), label.end(), [](char c) { return absl::ascii_iscntrl(c); })) {
    return absl::StrCat("got the variant \"", label.substr(0, kLongestLabel), "\", expected a label of 1 to ",
                        kLongestLabel, " bytes on one line");
  }
  variant->set_variant(label);
  std::optional<double> latency_ms, throughput, perplexity, memory_gb;
  for (const Problem& problem :
       {ReadNumber(row, places, kLatency, true, &latency_ms), ReadNumber(row, places, kThroughput, true, &throughput),
        ReadNumber(row, places, kPerplexity, false, &perplexity), ReadNumber(row, places, kMemory, true, &memory_gb)}) {
    if (!problem.empty()) return problem;
  }
  if (latency_ms) variant->set_latency_s(*latency_ms / 1e3);
  if (throughput) variant->set_tokens_per_s(*throughput);
  if (perplexity) variant->set_delta_perplexity(*perplexity);
  if (memory_gb) variant->set_memory_bytes(std::max(1LL, std::llround(*memory_gb * 1e9)));
  return "";
}

// Renames the baseline to fp16.
absl::Status NameBaseline(const std::string& file, const std::string& wanted, v1::ImportedTable* table) {
  v1::ImportedVariant* found = nullptr;
  std::vector<std::string> labels;
  for (v1::ImportedVariant& variant : *table->mutable_variants()) {
    labels.push_back(absl::StrCat("\"", variant.variant(), "\""));
    const bool fp16 = absl::EqualsIgnoreCase(variant.variant(), kBaseline);
    if (wanted.empty() ? !fp16 : variant.variant() != wanted) {
      if (!fp16) continue;
      return UsageError(absl::StrCat(file, ": got --baseline \"", wanted, "\" and a row \"", variant.variant(),
                                     "\" beside it, expected fp16 to be the baseline: rename that row"));
    }
    if (found != nullptr) {
      return UsageError(absl::StrCat(file, ": got the rows \"", found->variant(), "\" and \"", variant.variant(),
                                     "\", expected one fp16, what the others are compared with"));
    }
    found = &variant;
  }
  if (found == nullptr) {
    return UsageError(absl::StrCat(file, ": got no row ", wanted.empty() ? "fp16" : absl::StrCat("\"", wanted, "\""),
                                   ", which the others are compared with, among ", absl::StrJoin(labels, ", "),
                                   "\nname the baseline's row with --baseline LABEL"));
  }
  if (found->delta_perplexity() != 0) {
    return UsageError(absl::StrCat(file, ": got perplexity_change = ", found->delta_perplexity(), " of the baseline \"",
                                   found->variant(), "\", expected 0: it is the change to its perplexity"));
  }
  table->set_baseline_label(found->variant());
  found->set_variant(kBaseline);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::ImportedTable> ParsePublishedTable(absl::string_view bytes, const std::string& file,
                                                      const std::string& baseline) {
  const auto rows = ParseCsv(bytes, file, {.rows = 1001});
  if (!rows.ok()) return rows.status();
  if (rows->size() < 2) {
    return UsageError(absl::StrCat(file, " has ", rows->empty() ? "nothing in it" : "a header and no rows",
                                   ", expected the header ", absl::StrJoin(kColumns, ","),
                                   " and a row for each variant"));
  }
  const auto places = PlacesOf(rows->front(), file);
  if (!places.ok()) return places.status();
  v1::ImportedTable table;
  Problems problems(file);
  std::map<std::string, int> lines;
  for (std::size_t r = 1; r < rows->size(); ++r) {
    const CsvRow& row = (*rows)[r];
    v1::ImportedVariant variant;
    Problem problem = ReadRow(row, *places, &variant);
    if (problem.empty()) {
      const auto [first, is_new] = lines.emplace(variant.variant(), row.line);
      if (!is_new) {
        problem = absl::StrCat("got the variant \"", variant.variant(), "\" as in line ", first->second,
                               ", expected each label once");
      }
    }
    if (!problem.empty()) problems.Add(row.line, problem);
    *table.add_variants() = std::move(variant);
  }
  if (!problems.empty()) return problems.ToStatus();
  if (absl::Status named = NameBaseline(file, baseline, &table); !named.ok()) return named;
  return table;
}

}  // namespace uaqf::client
