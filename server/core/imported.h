// Figures that somebody published: single values, of whose uncertainty nothing is known. As ImportedTable of job.proto.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace uaqf::core {

struct ImportedVariant {
  std::string variant;  // any label; the baseline's is kBaselineVariant
  std::optional<double> latency_s;
  std::optional<double> tokens_per_s;
  std::optional<double> delta_perplexity;
  std::optional<std::int64_t> memory_bytes;

  friend bool operator==(const ImportedVariant&, const ImportedVariant&) = default;
};

struct ImportedTable {
  std::string title;
  std::string baseline_label;  // that the baseline's row had
  std::vector<ImportedVariant> variants;

  friend bool operator==(const ImportedTable&, const ImportedTable&) = default;
};

}  // namespace uaqf::core
