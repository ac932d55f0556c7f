// What workers send: states, records, evidence, summaries.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "proto/wire/digest.h"
#include "server/core/divergence.h"
#include "server/core/record.h"
#include "server/rpc/field_checks.h"
#include "server/rpc/validate.h"

namespace uaqf::rpc {
namespace {

constexpr std::int64_t kDayNs = 86'400'000'000'000;
// Far above any device's, and small enough to be added up.
constexpr std::int64_t kMostMemoryBytes = std::int64_t{1} << 50;
constexpr std::int64_t kMostKvBytesPerToken = std::int64_t{1} << 24;
constexpr std::size_t kMostAnswerBytes = 16 << 10;
constexpr int kMostChoices = 64;
constexpr std::size_t kMostConfigurationBytes = 16 << 10;
// As server/ranking has it.
constexpr double kLeastNllPerToken = -1e-3;

absl::Status ValidateAttempt(const v1::AttemptId& attempt) {
  return FirstOf({wire::ParseJobName(attempt.job()).status(), InRange("attempt.chunk", attempt.chunk(), 0, INT32_MAX),
                  InRange("attempt.epoch", attempt.epoch(), std::int64_t{1}, INT64_MAX)});
}

absl::Status ValidateTimingRecord(const v1::TimingRecord& t) {
  absl::Status status = FirstOf({InRange("input_tokens", t.input_tokens(), 0, INT32_MAX),
                                 InRange("output_tokens", t.output_tokens(), 0, INT32_MAX),
                                 InRange("latency_ns", t.latency_ns(), std::int64_t{1}, kDayNs),
                                 InRange("tokenize_ns", t.tokenize_ns(), std::int64_t{0}, kDayNs),
                                 InRange("prefill_ns", t.prefill_ns(), std::int64_t{0}, kDayNs),
                                 InRange("decode_ns", t.decode_ns(), std::int64_t{0}, kDayNs),
                                 InRange("detokenize_ns", t.detokenize_ns(), std::int64_t{0}, kDayNs)});
  return status.ok() ? Text("output_digest", t.output_digest(), 32) : status;
}

// The times of one generation must add up: gaps to the decode time, parts to no more than the whole.
std::string Contradiction(const v1::TimingRecord& t) {
  const std::int64_t parts = t.tokenize_ns() + t.prefill_ns() + t.decode_ns() + t.detokenize_ns();
  if (parts > t.latency_ns()) {
    return absl::StrCat("its parts take ", parts, " ns, expected at most the latency of ", t.latency_ns(), " ns");
  }
  if (t.start_offset_ns() < 0) {
    return absl::StrCat("it began ", t.start_offset_ns(), " ns after its chunk, expected 0 or more");
  }
  const int gaps = std::max(0, t.output_tokens() - 1);
  if (t.inter_token_ns_size() != gaps) {
    return absl::StrCat(t.inter_token_ns_size(), " gaps between ", t.output_tokens(), " tokens, expected ", gaps);
  }
  std::int64_t sum = 0;
  for (const std::int64_t gap : t.inter_token_ns()) {
    if (gap < 0 || gap > t.decode_ns() - sum) {
      return absl::StrCat("a gap of ", gap, " ns after ", sum, " ns, expected gaps of 0 or more whose sum is the ",
                          "decode time of ", t.decode_ns(), " ns");
    }
    sum += gap;
  }
  if (sum == t.decode_ns()) return "";
  return absl::StrCat("its gaps sum to ", sum, " ns, expected the decode time of ", t.decode_ns(), " ns");
}

// A collapsed variant's likelihood may be infinite or no number; any other is a sum of FP32 log-probabilities. A
// certain token rounds to a hair below 0.
template <typename Scored>
std::string LikelihoodContradiction(const Scored& w) {
  const double tokens = w.scored_tokens();
  const double most = 2.0 * std::numeric_limits<float>::max() * tokens;
  const bool possible =
      !std::isfinite(w.nll_sum()) || (w.nll_sum() >= kLeastNllPerToken * tokens && w.nll_sum() <= most);
  if (possible) return "";
  return absl::StrCat("a negative log-likelihood of ", w.nll_sum(), " nats over ", w.scored_tokens(),
                      " tokens, expected 0 or more, and no more than FP32 can give");
}

// A divergence is 0 or more, but for rounding; that of a collapsed variant is no number.
std::string Contradiction(const v1::DivergenceRecord& d) {
  if (d.kl_sum() < -1e-6 * d.positions()) {
    return absl::StrCat("a divergence of ", d.kl_sum(), " nats, expected 0 or more");
  }
  if (d.has_kl_upper_sum() == (d.summary_k() > 0)) return "";
  return absl::StrCat("a divergence with", d.has_kl_upper_sum() ? "" : "out", " an upper side and a summary_k of ",
                      d.summary_k(), ", expected both or neither");
}

std::string Contradiction(const v1::AttemptEnd& end) {
  if (!end.has_evidence()) return "the end has no evidence, expected what the device was and did";
  const v1::ChunkEvidence& evidence = end.evidence();
  const v1::MemoryUse& m = evidence.memory();
  if (m.weights_bytes() + m.kv_cache_bytes() + m.workspace_bytes() <= 0) {
    return "the evidence says that the variant takes no memory, expected weights, KV cache and workspace in bytes";
  }
  const std::pair<const char*, double> figures[] = {
      {"foreign_load", evidence.foreign_load()},
      {"involuntary_switches", static_cast<double>(evidence.involuntary_switches())},
      {"cpu_mhz", evidence.cpu_mhz()},
      {"wall_ns", static_cast<double>(evidence.wall_ns())}};
  for (const auto& [name, value] : figures) {
    if (value < 0) return absl::StrCat("the evidence's ", name, " is ", value, ", expected 0 or more");
  }
  if (end.variant_configuration().empty()) return "";
  if (wire::Sha256Hex(end.variant_configuration()) == evidence.variant_digest()) return "";
  return absl::StrCat("a variant configuration of another digest than the evidence's, which is ",
                      Shown(evidence.variant_digest()));
}

absl::Status ValidateTaskRecord(const v1::TaskRecord& task) {
  absl::Status status =
      FirstOf({InRange("input_tokens", task.input_tokens(), 0, INT32_MAX),
               InRange("output_tokens", task.output_tokens(), 0, INT32_MAX),
               Text("output_digest", task.output_digest(), 32), Text("answer", task.answer(), kMostAnswerBytes),
               InRange("the number of checks", task.checks_size(), 1, static_cast<int>(core::kMostTaskChecks)),
               InRange("the number of choices", task.choice_log_likelihoods_size(), 0, kMostChoices)});
  std::set<int> seen;
  for (const v1::TaskCheck& check : task.checks()) {
    if (!status.ok()) return status;
    if (check.metric() == v1::TASK_METRIC_UNSPECIFIED || !v1::TaskMetric_IsValid(check.metric()) ||
        !seen.insert(check.metric()).second) {
      return Invalid("UNKNOWN_ENUM",
                     absl::StrCat("got metric = ", check.metric(), ", expected TaskMetrics, each once"));
    }
    status = FirstOf({InRange("checks.made", check.made(), 1, UINT16_MAX),
                      InRange("checks.passed", check.passed(), 0, check.made())});
  }
  return status;
}

absl::Status ValidateDivergence(const v1::DivergenceRecord& d) {
  return FirstOf({InRange("positions", d.positions(), 1, INT32_MAX),
                  InRange("summary_k", d.summary_k(), 0, core::kMostSummaryK),
                  InRange("same_top", d.same_top(), 0, d.positions()), InRange("top_k", d.top_k(), 1, 1000),
                  InRange("shared_top", d.shared_top(), std::int64_t{0}, std::int64_t{d.positions()} * d.top_k())});
}

absl::Status ValidateTraffic(const v1::TrafficRecord& t) {
  for (const double figure : {t.prefill().bytes(), t.prefill().operations(), t.decode().bytes(),
                              t.decode().operations(), t.read_bytes_per_s(), t.operations_per_s()}) {
    if (std::isfinite(figure) && figure >= 0) continue;
    return Invalid("NOT_A_NUMBER", "got work or a limit of a batch that is negative or not finite, expected 0 or more");
  }
  return FirstOf({InRange("batch", t.batch(), 1, core::kMostBatch),
                  InRange("input_tokens", t.input_tokens(), 1, INT32_MAX),
                  InRange("output_tokens", t.output_tokens(), 1, INT32_MAX),
                  InRange("latency_ns", t.latency_ns(), std::int64_t{1}, INT64_MAX),
                  InRange("prefill_ns", t.prefill_ns(), std::int64_t{0}, t.latency_ns()),
                  InRange("decode_ns", t.decode_ns(), std::int64_t{0}, t.latency_ns()),
                  Text("output_digest", t.output_digest(), 32)});
}

absl::Status ValidateRecord(const v1::Record& record) {
  absl::Status place =
      FirstOf({InRange("item", record.item(), 0, INT32_MAX), InRange("repeat", record.repeat(), 0, 99)});
  if (!place.ok()) return place;
  switch (record.body_case()) {
    case v1::Record::kTiming:
      return ValidateTimingRecord(record.timing());
    case v1::Record::kGeneration:
      return FirstOf({InRange("input_tokens", record.generation().input_tokens(), 0, INT32_MAX),
                      InRange("output_tokens", record.generation().output_tokens(), 0, INT32_MAX),
                      Text("output_digest", record.generation().output_digest(), 32)});
    case v1::Record::kWindow:
      // A collapsed variant's likelihood may be infinite or no number: that is a result, not a malformed record.
      return InRange("scored_tokens", record.window().scored_tokens(), 1, INT32_MAX);
    case v1::Record::kTask:
      return ValidateTaskRecord(record.task());
    case v1::Record::kDivergence:
      return ValidateDivergence(record.divergence());
    case v1::Record::kArticle:
      return FirstOf({InRange("scored_tokens", record.article().scored_tokens(), 1, INT32_MAX),
                      InRange("words", record.article().words(), 1, INT32_MAX),
                      InRange("bytes", record.article().bytes(), 1, INT32_MAX)});
    case v1::Record::kSummary:
      return FirstOf({InRange("positions", record.summary().positions(), 1, INT32_MAX),
                      InRange("summary_k", record.summary().summary_k(), 1, core::kMostSummaryK),
                      InRange("bytes", record.summary().bytes(), std::int64_t{1}, core::kMostSummaryBytes),
                      Text("digest", record.summary().digest(), kDigestChars)});
    case v1::Record::kTraffic:
      return ValidateTraffic(record.traffic());
    case v1::Record::kFailure:
      return Text("failure", record.failure(), 4096);
    case v1::Record::BODY_NOT_SET:
      break;
  }
  return Invalid("RECORD_EMPTY", "got a record without a body, expected one of Record.body");
}

absl::Status ValidateEvidence(const v1::ChunkEvidence& evidence) {
  if (!std::isfinite(evidence.foreign_load()) || !std::isfinite(evidence.cpu_mhz())) {
    return Invalid("NOT_A_NUMBER", "got an evidence figure that is not finite, expected numbers");
  }
  if (evidence.taints_size() > 64) {
    return Invalid("OUT_OF_RANGE", absl::StrCat("got ", evidence.taints_size(), " taints, expected at most 64"));
  }
  const v1::MemoryUse& m = evidence.memory();
  return FirstOf({Text("variant_digest", evidence.variant_digest(), kDigestChars),
                  InRange("memory.weights_bytes", m.weights_bytes(), std::int64_t{0}, INT64_MAX / 4),
                  InRange("memory.kv_cache_bytes", m.kv_cache_bytes(), std::int64_t{0}, INT64_MAX / 4),
                  InRange("memory.workspace_bytes", m.workspace_bytes(), std::int64_t{0}, INT64_MAX / 4),
                  InRange("memory.block_weights_bytes", m.block_weights_bytes(), std::int64_t{0}, INT64_MAX / 4),
                  InRange("memory.measured_peak_bytes", m.measured_peak_bytes(), std::int64_t{0}, INT64_MAX / 4)});
}

absl::Status ValidateModel(const v1::ModelInfo& model) {
  if (absl::Status id = ModelId("models.model", model.model()); !id.ok()) return id;
  if (model.variants_size() > 1024) {
    return Invalid("OUT_OF_RANGE", absl::StrCat("got ", model.variants_size(), " variants of ", model.model(),
                                                ", expected at most 1024"));
  }
  for (const v1::VariantInfo& variant : model.variants()) {
    if (absl::Status id = VariantName("models.variants.variant", variant.variant()); !id.ok()) return id;
    if (absl::Status bytes =
            InRange("models.variants.resident_bytes", variant.resident_bytes(), std::int64_t{0}, kMostMemoryBytes);
        !bytes.ok()) {
      return bytes;
    }
    if (absl::Status bytes = InRange("models.variants.kv_bytes_per_token", variant.kv_bytes_per_token(),
                                     std::int64_t{0}, kMostKvBytesPerToken);
        !bytes.ok()) {
      return bytes;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const v1::WorkerState& state) {
  absl::Status status =
      FirstOf({wire::ParseWorkerName(state.worker()).status(), Text("device.name", state.device().name(), 256),
               Text("build", state.build(), 256), Text("hosted.error", state.hosted().error(), 16'384),
               InRange("hosted.calibration.layers_total", state.hosted().calibration().layers_total(), 0, 1 << 20),
               InRange("hosted.calibration.layers_done", state.hosted().calibration().layers_done(), 0,
                       state.hosted().calibration().layers_total()),
               InRange("device.memory_bytes", state.device().memory_bytes(), std::int64_t{0}, kMostMemoryBytes)});
  if (!status.ok()) return status;
  if (state.session().empty() || state.session().size() > kMaxIdChars) {
    return Invalid("INVALID_SESSION", "got no session, expected a random id of this process start");
  }
  if (state.device().id().empty() || state.device().id().size() > 256) {
    return Invalid("NO_DEVICE", "got no device.id, expected a GPU UUID or cpu:{host}:{cpu set}");
  }
  if (state.models_size() > 256 || state.attempts_size() > 1024 || state.surveys_size() > 1024) {
    return Invalid("OUT_OF_RANGE",
                   absl::StrCat("got ", state.models_size(), " models, ", state.attempts_size(), " attempts, ",
                                state.surveys_size(), " surveys, expected at most 256, 1024, 1024"));
  }
  for (const v1::ModelInfo& model : state.models()) {
    if (absl::Status ok = ValidateModel(model); !ok.ok()) return ok;
  }
  for (const v1::AttemptProgress& attempt : state.attempts()) {
    if (absl::Status ok = ValidateAttempt(attempt.attempt()); !ok.ok()) return ok;
  }
  for (const v1::SurveyResult& survey : state.surveys()) {
    if (absl::Status ok = FirstOf({wire::ParseJobName(survey.job()).status(),
                                   InRange("surveys.longest_input_tokens", survey.longest_input_tokens(), 0, INT32_MAX),
                                   InRange("surveys.text_windows", survey.text_windows(), 0, INT32_MAX),
                                   InRange("surveys.articles", survey.articles(), 0, INT32_MAX),
                                   InRange("surveys.task_items", survey.task_items(), 0, INT32_MAX),
                                   InRange("surveys.longest_task_tokens", survey.longest_task_tokens(), 0, INT32_MAX)});
        !ok.ok()) {
      return ok;
    }
  }
  return absl::OkStatus();
}

absl::Status Validate(const v1::RecordBatch& batch) {
  return FirstOf({wire::ParseWorkerName(batch.worker()).status(), ValidateAttempt(batch.attempt()),
                  InRange("sequence", batch.sequence(), std::int64_t{0}, INT64_MAX)});
}

std::string Contradiction(const v1::RecordBatch& batch) {
  if (batch.records().empty() && !batch.has_end()) {
    return "got a batch without records and without end, expected one of them";
  }
  for (const v1::Record& record : batch.records()) {
    std::string why(ValidateRecord(record).message());
    if (why.empty() && record.has_timing()) why = Contradiction(record.timing());
    if (why.empty() && record.has_window()) why = LikelihoodContradiction(record.window());
    if (why.empty() && record.has_article()) why = LikelihoodContradiction(record.article());
    if (why.empty() && record.has_divergence()) why = Contradiction(record.divergence());
    if (!why.empty()) return absl::StrCat("item ", record.item(), ": ", why);
  }
  if (!batch.has_end()) return "";
  const absl::Status end =
      FirstOf({InRange("end.record_count", batch.end().record_count(), 0, INT32_MAX),
               Text("end.variant_configuration", batch.end().variant_configuration(), kMostConfigurationBytes),
               ValidateEvidence(batch.end().evidence())});
  return end.ok() ? Contradiction(batch.end()) : std::string(end.message());
}

absl::Status Validate(const v1::SummaryHeader& header) {
  absl::Status status = FirstOf({wire::ParseWorkerName(header.worker()).status(), ValidateAttempt(header.attempt()),
                                 InRange("window", header.window(), 0, INT32_MAX),
                                 InRange("summary_k", header.summary_k(), 1, core::kMostSummaryK),
                                 InRange("bytes", header.bytes(), std::int64_t{1}, INT64_MAX),
                                 Text("digest", header.digest(), kDigestChars)});
  if (!status.ok() || header.bytes() <= core::kMostSummaryBytes) return status;
  return wire::Error(absl::StatusCode::kResourceExhausted, "SUMMARY_TOO_LARGE",
                     absl::StrCat("got a summary of ", header.bytes(), " bytes, expected at most ",
                                  core::kMostSummaryBytes, ": shorten quality.context_tokens"));
}

absl::Status Validate(const v1::FetchSummaryRequest& request) {
  return FirstOf({wire::ParseJobName(request.job()).status(), InRange("window", request.window(), 0, INT32_MAX),
                  InRange("summary_k", request.summary_k(), 1, core::kMostSummaryK)});
}

}  // namespace uaqf::rpc
