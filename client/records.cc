#include "client/records.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
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

// "numeric strict 1/1, numeric flexible 1/1".
std::string ChecksText(const v1::TaskRecord& task) {
  std::vector<std::string> checks;
  for (const v1::TaskCheck& check : task.checks()) {
    checks.push_back(absl::StrCat(TaskMetricName(check.metric()), " ", check.passed(), "/", check.made()));
  }
  return absl::StrJoin(checks, ", ");
}

// "KL 0.02000", "KL between 0.01900 and 0.02100".
std::string DivergenceText(const v1::DivergenceRecord& d) {
  const std::string lower = Fixed(d.kl_sum() / d.positions(), 5);
  if (!d.has_kl_upper_sum()) return absl::StrCat("KL ", lower);
  return absl::StrCat("KL between ", lower, " and ", Fixed(d.kl_upper_sum() / d.positions(), 5));
}

// "the same: alone again 64, batch 8 61; a loop".
std::string RepeatsText(const v1::AgreementRecord& agreement) {
  std::vector<std::string> repeats;
  for (const v1::RepeatedOutput& repeat : agreement.repeats()) {
    repeats.push_back(repeat.batch() == 1 ? absl::StrCat("alone again ", repeat.same_tokens())
                                          : absl::StrCat("batch ", repeat.batch(), " ", repeat.same_tokens()));
  }
  std::string text = absl::StrCat("the same: ", absl::StrJoin(repeats, ", "));
  if (agreement.loop()) absl::StrAppend(&text, "; a loop");
  if (agreement.not_finite_tokens() > 0) {
    absl::StrAppend(&text, "; logits not finite at ", Count(agreement.not_finite_tokens(), "token"));
  }
  return text;
}

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

// What a timed generation and a timed batch have in common, into their columns.
template <typename Timed>
void FillStages(const Timed& t, std::vector<std::string>* row) {
  std::vector<std::string>& cells = *row;
  cells[11] = absl::StrCat(t.input_tokens());
  cells[12] = absl::StrCat(t.output_tokens());
  cells[13] = absl::StrCat(t.latency_ns());
  cells[14] = absl::StrCat(t.tokenize_ns());
  cells[15] = absl::StrCat(t.prefill_ns());
  cells[16] = absl::StrCat(t.decode_ns());
  cells[17] = absl::StrCat(t.detokenize_ns());
  cells[19] = Hex(t.output_digest());
}

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
  } else if (record.has_traffic()) {
    const v1::TrafficRecord& traffic = record.traffic();
    cells[5] = absl::StrCat(traffic.input_tokens());
    cells[6] = absl::StrCat(traffic.output_tokens());
    cells[7] = Milliseconds(traffic.latency_ns());
    cells[8] = Milliseconds(traffic.prefill_ns());
    if (traffic.latency_ns() > 0) {
      cells[9] = Fixed(static_cast<double>(traffic.batch()) * traffic.output_tokens() /
                           (static_cast<double>(traffic.latency_ns()) * 1e-9),
                       1);
    }
    cells[10] = absl::StrCat("batch ", traffic.batch(), stored.tainted() ? ", tainted" : "");
  } else if (record.has_generation()) {
    cells[5] = absl::StrCat(record.generation().input_tokens());
    cells[6] = absl::StrCat(record.generation().output_tokens());
    cells[10] = record.generation().stopped() ? "stopped by itself" : "cut by the limit";
  } else if (record.has_window() && record.window().scored_tokens() > 0) {
    cells[5] = absl::StrCat(record.window().scored_tokens());
    cells[10] =
        absl::StrCat("NLL ", Fixed(record.window().nll_sum() / record.window().scored_tokens(), 4), " per token");
  } else if (record.has_task()) {
    cells[5] = absl::StrCat(record.task().input_tokens());
    cells[6] = absl::StrCat(record.task().output_tokens());
    cells[10] = ChecksText(record.task());
  } else if (record.has_divergence() && record.divergence().positions() > 0) {
    const v1::DivergenceRecord& d = record.divergence();
    cells[5] = absl::StrCat(d.positions());
    cells[10] = absl::StrCat(DivergenceText(d), " per token, same top-1 ",
                             Fixed(100.0 * d.same_top() / d.positions(), 1), " %");
  } else if (record.has_summary()) {
    cells[5] = absl::StrCat(record.summary().positions());
    cells[10] = absl::StrCat("k ", record.summary().summary_k(), ", ", Bytes(record.summary().bytes()));
  } else if (record.has_article() && record.article().words() > 0) {
    const v1::ArticleRecord& a = record.article();
    cells[5] = absl::StrCat(a.scored_tokens());
    cells[10] = absl::StrCat("NLL ", Fixed(a.nll_sum() / a.words(), 4), " per word, ", Count(a.words(), "word"));
  } else if (record.has_agreement()) {
    cells[5] = absl::StrCat(record.agreement().input_tokens());
    cells[6] = absl::StrCat(record.agreement().output_ids_size());
    cells[10] = RepeatsText(record.agreement());
  } else if (record.body_case() == v1::Record::kFailure) {
    cells[10] = absl::StrCat("failed: ", Printable(record.failure()));
  }
  return Row(variant_width, cells);
}

std::string RecordCsvHeader() {
  return CsvLine({"job",
                  "variant",
                  "kind",
                  "chunk",
                  "epoch",
                  "item",
                  "repeat",
                  "prompt_id",
                  "category",
                  "worker",
                  "tainted",
                  "input_tokens",
                  "output_tokens",
                  "latency_ns",
                  "tokenize_ns",
                  "prefill_ns",
                  "decode_ns",
                  "detokenize_ns",
                  "start_offset_ns",
                  "output_digest",
                  "stopped",
                  "scored_tokens",
                  "nll_sum",
                  "failure",
                  "kl_sum",
                  "same_top",
                  "top_k",
                  "shared_top",
                  "checks",
                  "answer",
                  "variant_digest",
                  "words",
                  "bytes",
                  "kl_upper_sum",
                  "summary_k",
                  "summary_bytes",
                  "summary_digest",
                  "batch",
                  "same_tokens",
                  "not_finite_tokens",
                  "loop"});
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
  cells.resize(41);
  cells[30] = stored.variant_digest();
  if (record.has_timing()) {
    FillStages(record.timing(), &cells);
    cells[18] = absl::StrCat(record.timing().start_offset_ns());
  } else if (record.has_traffic()) {
    FillStages(record.traffic(), &cells);
    cells[37] = absl::StrCat(record.traffic().batch());
  } else if (record.has_generation()) {
    cells[11] = absl::StrCat(record.generation().input_tokens());
    cells[12] = absl::StrCat(record.generation().output_tokens());
    cells[19] = Hex(record.generation().output_digest());
    cells[20] = record.generation().stopped() ? "true" : "false";
  } else if (record.has_window()) {
    cells[21] = absl::StrCat(record.window().scored_tokens());
    cells[22] = Exact(record.window().nll_sum());
  } else if (record.has_task()) {
    cells[11] = absl::StrCat(record.task().input_tokens());
    cells[12] = absl::StrCat(record.task().output_tokens());
    cells[19] = Hex(record.task().output_digest());
    cells[20] = record.task().stopped() ? "true" : "false";
    cells[28] = ChecksText(record.task());
    cells[29] = record.task().answer();
  } else if (record.has_divergence()) {
    cells[21] = absl::StrCat(record.divergence().positions());
    cells[24] = Exact(record.divergence().kl_sum());
    cells[25] = absl::StrCat(record.divergence().same_top());
    cells[26] = absl::StrCat(record.divergence().top_k());
    cells[27] = absl::StrCat(record.divergence().shared_top());
    if (record.divergence().has_kl_upper_sum()) cells[33] = Exact(record.divergence().kl_upper_sum());
    cells[34] = absl::StrCat(record.divergence().summary_k());
  } else if (record.has_summary()) {
    cells[21] = absl::StrCat(record.summary().positions());
    cells[34] = absl::StrCat(record.summary().summary_k());
    cells[35] = absl::StrCat(record.summary().bytes());
    cells[36] = record.summary().digest();
  } else if (record.has_article()) {
    cells[21] = absl::StrCat(record.article().scored_tokens());
    cells[22] = Exact(record.article().nll_sum());
    cells[31] = absl::StrCat(record.article().words());
    cells[32] = absl::StrCat(record.article().bytes());
  } else if (record.has_agreement()) {
    const v1::AgreementRecord& a = record.agreement();
    cells[11] = absl::StrCat(a.input_tokens());
    cells[12] = absl::StrCat(a.output_ids_size());
    cells[20] = a.stopped() ? "true" : "false";
    std::vector<std::string> repeats;
    for (const v1::RepeatedOutput& repeat : a.repeats()) {
      repeats.push_back(absl::StrCat(repeat.batch(), "=", repeat.same_tokens()));
    }
    cells[38] = absl::StrJoin(repeats, ";");
    cells[39] = absl::StrCat(a.not_finite_tokens());
    cells[40] = a.loop() ? "true" : "false";
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
    case v1::CHUNK_KIND_TASK:
      return "task";
    case v1::CHUNK_KIND_DIVERGENCE:
      return "divergence";
    case v1::CHUNK_KIND_ARTICLE:
      return "article";
    case v1::CHUNK_KIND_SUMMARY:
      return "summary";
    case v1::CHUNK_KIND_TRAFFIC:
      return "traffic";
    case v1::CHUNK_KIND_AGREEMENT:
      return "agreement";
    default:
      return "unknown";
  }
}

std::string TaskMetricName(v1::TaskMetric metric) {
  const std::string name = absl::AsciiStrToLower(v1::TaskMetric_Name(metric));
  return absl::StrReplaceAll(absl::StripPrefix(name, "task_metric_"), {{"_", " "}});
}

}  // namespace uaqf::client
