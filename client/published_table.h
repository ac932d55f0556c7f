// Published figures as people type them off: CSV with a header, one row for each variant.
//
//   variant,latency_ms,throughput_tokens_per_s,perplexity_change,memory_gb
//   FP16,1280,38.2,0,13.5
//   RTN 8-bit,1015,46.7,+0.42,8.2
//
// Columns in any order, all of them; an empty cell is a figure that was not published. Latency, throughput and memory
// (decimal GB) are above 0; the change of perplexity is to the baseline's, whose own is 0.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "uaqf/v1/job.pb.h"

namespace uaqf::client {

// The table in `bytes`, the content of `file`. The baseline, which becomes "fp16", is the row of that label, or, where
// `baseline` is empty, the one labelled fp16 in letters of either case. Without a title. Pure.
// InvalidArgument, naming line and column: not CSV, a column missing, unknown or there twice, a label twice or empty, a
// figure that is no number or out of range, a row of the wrong length, no rows, no baseline.
[[nodiscard]] absl::StatusOr<v1::ImportedTable> ParsePublishedTable(absl::string_view bytes, const std::string& file,
                                                                    const std::string& baseline = "");

}  // namespace uaqf::client
