// Records as they stream by: a table of fixed columns, CSV, or JSON lines.
#pragma once

#include <string>

#include "uaqf/v1/record.pb.h"

namespace uaqf::client {

// The head of the table and one record of it, with line ends. `variant_width` columns are kept for the variant, so that
// a stream stays aligned.
std::string RecordTableHeader(int variant_width);
std::string RecordTableLine(const v1::StoredRecord& record, int variant_width);

// CSV with the proto's field names and units; a field that a kind of record lacks is empty. Stable: columns are only
// ever added at the end.
std::string RecordCsvHeader();
std::string RecordCsvLine(const v1::StoredRecord& record);

// "timing", "generation", "perplexity", "task", "divergence", "article", "summary".
std::string ChunkKindName(v1::ChunkKind kind);
// "numeric strict", "choice", "open sane length", ...
std::string TaskMetricName(v1::TaskMetric metric);

}  // namespace uaqf::client
