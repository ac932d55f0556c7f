#include "client/records.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/figures.h"
#include "client/table.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

std::string Row(int variant_width, const std::vector<std::string>& cells) {
  const std::string variant = FitToWidth(cells[0], variant_width);
  std::string line = absl::StrCat(
      variant, std::string(static_cast<std::size_t>(std::max(0, variant_width - DisplayWidth(variant))), ' '));
  absl::StrAppendFormat(&line, "  %-10s %6s  %-18s %6s %6s %6s %11s %9s %8s  %s", cells[1], cells[2], cells[3],
                        cells[4], cells[5], cells[6], cells[7], cells[8], cells[9], cells[10]);
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string Milliseconds(std::int64_t ns) { return Fixed(static_cast<double>(ns) * 1e-6, 2); }

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

}  // namespace

std::string RecordTableHeader(int variant_width) {
  return Row(variant_width,
             {"variant", "kind", "item", "prompt", "repeat", "in", "out", "latency ms", "TTFT ms", "tok/s", "note"});
}

std::string RecordTableLine(const v1::StoredRecord& stored, int variant_width) {
  const v1::Record& record = stored.record();
  std::vector<std::string> cells = {Printable(stored.variant()),
                                    ChunkKindName(stored.kind()),
                                    absl::StrCat(record.item()),
                                    stored.prompt_id().empty() ? "-" : FitToWidth(Printable(stored.prompt_id()), 18),
                                    absl::StrCat(record.repeat()),
                                    "-",
                                    "-",
                                    "-",
                                    "-",
                                    "-",
                                    stored.tainted() ? "tainted" : ""};
  if (record.has_timing()) {
    const v1::TimingRecord& timing = record.timing();
    cells[5] = absl::StrCat(timing.input_tokens());
    cells[6] = absl::StrCat(timing.output_tokens());
    cells[7] = Milliseconds(timing.latency_ns());
    cells[8] = Milliseconds(timing.prefill_ns());
    if (timing.latency_ns() > 0) {
      cells[9] = Fixed(timing.output_tokens() / (static_cast<double>(timing.latency_ns()) * 1e-9), 1);
    }
  } else if (record.has_generation()) {
    cells[5] = absl::StrCat(record.generation().input_tokens());
    cells[6] = absl::StrCat(record.generation().output_tokens());
    cells[10] = record.generation().stopped() ? "stopped by itself" : "cut by the limit";
  } else if (record.has_window() && record.window().scored_tokens() > 0) {
    cells[5] = absl::StrCat(record.window().scored_tokens());
    cells[10] =
        absl::StrCat("NLL ", Fixed(record.window().nll_sum() / record.window().scored_tokens(), 4), " per token");
  } else if (record.body_case() == v1::Record::kFailure) {
    cells[10] = absl::StrCat("failed: ", Printable(record.failure()));
  }
  return Row(variant_width, cells);
}

std::string RecordCsvHeader() {
  return CsvLine({"job",        "variant",       "kind",          "chunk",           "epoch",
                  "item",       "repeat",        "prompt_id",     "category",        "worker",
                  "tainted",    "input_tokens",  "output_tokens", "latency_ns",      "tokenize_ns",
                  "prefill_ns", "decode_ns",     "detokenize_ns", "start_offset_ns", "output_digest",
                  "stopped",    "scored_tokens", "nll_sum",       "failure"});
}

std::string RecordCsvLine(const v1::StoredRecord& stored) {
  const v1::Record& record = stored.record();
  std::vector<std::string> cells = {stored.job(),
                                    stored.variant(),
                                    ChunkKindName(stored.kind()),
                                    absl::StrCat(stored.chunk()),
                                    absl::StrCat(stored.epoch()),
                                    absl::StrCat(record.item()),
                                    absl::StrCat(record.repeat()),
                                    stored.prompt_id(),
                                    stored.category(),
                                    stored.worker(),
                                    stored.tainted() ? "true" : "false"};
  cells.resize(24);
  if (record.has_timing()) {
    const v1::TimingRecord& t = record.timing();
    cells[11] = absl::StrCat(t.input_tokens());
    cells[12] = absl::StrCat(t.output_tokens());
    cells[13] = absl::StrCat(t.latency_ns());
    cells[14] = absl::StrCat(t.tokenize_ns());
    cells[15] = absl::StrCat(t.prefill_ns());
    cells[16] = absl::StrCat(t.decode_ns());
    cells[17] = absl::StrCat(t.detokenize_ns());
    cells[18] = absl::StrCat(t.start_offset_ns());
    cells[19] = Hex(t.output_digest());
  } else if (record.has_generation()) {
    cells[11] = absl::StrCat(record.generation().input_tokens());
    cells[12] = absl::StrCat(record.generation().output_tokens());
    cells[19] = Hex(record.generation().output_digest());
    cells[20] = record.generation().stopped() ? "true" : "false";
  } else if (record.has_window()) {
    cells[21] = absl::StrCat(record.window().scored_tokens());
    cells[22] = Exact(record.window().nll_sum());
  } else if (record.body_case() == v1::Record::kFailure) {
    cells[23] = record.failure();
  }
  return CsvLine(cells);
}

std::string ChunkKindName(v1::ChunkKind kind) {
  switch (kind) {
    case v1::CHUNK_KIND_TIMING:
      return "timing";
    case v1::CHUNK_KIND_GENERATION:
      return "generation";
    case v1::CHUNK_KIND_PERPLEXITY:
      return "perplexity";
    default:
      return "unknown";
  }
}

}  // namespace uaqf::client
