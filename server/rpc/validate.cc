#include "server/rpc/validate.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/wire/digest.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/core/divergence.h"
#include "server/core/record.h"

namespace uaqf::rpc {
namespace {

constexpr int kMaxVariants = 64;
constexpr int kMaxSources = 32;
constexpr std::size_t kDigestChars = 64;
constexpr std::size_t kMaxIdChars = 128;
constexpr std::size_t kMaxTextShown = 60;
constexpr std::int64_t kDayNs = 86'400'000'000'000;
// Far above any device's, and small enough to be added up.
constexpr std::int64_t kMostMemoryBytes = std::int64_t{1} << 50;
constexpr std::int64_t kMostKvBytesPerToken = std::int64_t{1} << 24;
constexpr std::size_t kMostAnswerBytes = 16 << 10;
constexpr int kMostChoices = 64;
constexpr std::size_t kMostConfigurationBytes = 16 << 10;
// As server/ranking has it.
constexpr double kLeastNllPerToken = -1e-3;

std::string Shown(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxTextShown)),
                      text.size() > kMaxTextShown ? "…\"" : "\"");
}

absl::Status Invalid(absl::string_view reason, absl::string_view message) {
  return wire::Error(absl::StatusCode::kInvalidArgument, reason, message);
}

// Range and what to say of it, for integers and durations alike.
template <typename T>
absl::Status InRange(absl::string_view field, T value, T least, T most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Invalid("OUT_OF_RANGE", absl::StrCat("got ", field, " = ", value, ", expected ", least, " to ", most));
}

// The first failure wins.
absl::Status FirstOf(std::initializer_list<absl::Status> checks) {
  for (const absl::Status& check : checks) {
    if (!check.ok()) return check;
  }
  return absl::OkStatus();
}

absl::Status PlainId(absl::string_view field, absl::string_view id) {
  if (wire::IsPlainId(id)) return absl::OkStatus();
  return Invalid("INVALID_ID",
                 absl::StrCat("got ", field, " = ", Shown(id), ", expected 1 to 128 characters of [A-Za-z0-9._-]"));
}

absl::Status VariantName(absl::string_view field, absl::string_view name) {
  if (wire::IsVariantName(name)) return absl::OkStatus();
  return Invalid("INVALID_ID", absl::StrCat("got ", field, " = ", Shown(name),
                                            ", expected a name of [A-Za-z0-9._-], and options as :NAME=VALUE"));
}

absl::Status ModelId(absl::string_view field, absl::string_view id) {
  if (wire::IsModelId(id)) return absl::OkStatus();
  return Invalid("INVALID_ID", absl::StrCat("got ", field, " = ", Shown(id),
                                            ", expected 1 to 128 characters of [A-Za-z0-9._-], or synthetic:NAME"));
}

absl::Status Text(absl::string_view field, absl::string_view text, std::size_t longest) {
  if (text.size() <= longest) return absl::OkStatus();
  return Invalid("TOO_LONG", absl::StrCat("got ", field, " of ", text.size(), " bytes, expected at most ", longest));
}

absl::Status ValidateTiming(const v1::TimingSpec& timing, bool has_fp16) {
  if (!v1::OutputLength_IsValid(timing.output_length())) {
    return Invalid("UNKNOWN_ENUM", absl::StrCat("got timing.output_length = ", timing.output_length(),
                                                ", expected MATCHED, FIXED or NATURAL"));
  }
  if (timing.output_length() == v1::OUTPUT_LENGTH_MATCHED && !has_fp16) {
    return Invalid("MATCHED_NEEDS_FP16",
                   "got output_length MATCHED without fp16 among the variants, expected fp16, whose lengths the others "
                   "match: add it, or choose FIXED");
  }
  return FirstOf({InRange("timing.repeats", timing.repeats(), 1, 100),
                  InRange("timing.input_tokens", timing.input_tokens(), 0, 1 << 20),
                  InRange("timing.max_output_tokens", timing.max_output_tokens(), 1, 4096),
                  InRange("timing.block_prompts", timing.block_prompts(), 1, 1000),
                  InRange("timing.warmup_generations", timing.warmup_generations(), 0, 10)});
}

absl::Status ValidateVariants(const v1::JobSpec& spec) {
  if (spec.variants().empty() || spec.variants_size() > kMaxVariants) {
    return Invalid("OUT_OF_RANGE", absl::StrCat("got ", spec.variants_size(), " variants, expected 1 to ", kMaxVariants,
                                                "; `uaqf workers` shows what a model has"));
  }
  std::set<absl::string_view> seen;
  for (const std::string& variant : spec.variants()) {
    if (absl::Status id = VariantName("variants", variant); !id.ok()) return id;
    if (!seen.insert(variant).second) {
      return Invalid("DUPLICATE_VARIANT", absl::StrCat("got variant ", variant, " twice, expected each once"));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateSpec(const v1::JobSpec& spec) {
  if (absl::Status variants = ValidateVariants(spec); !variants.ok()) return variants;
  const bool has_fp16 = std::find(spec.variants().begin(), spec.variants().end(), "fp16") != spec.variants().end();
  const v1::QualitySpec& quality = spec.quality();
  const double lease_s = static_cast<double>(spec.lease_duration().seconds()) + spec.lease_duration().nanos() * 1e-9;
  absl::Status status =
      FirstOf({ModelId("model", spec.model()), wire::ParsePromptSetName(spec.prompt_set()).status(),
               ValidateTiming(spec.timing(), has_fp16), InRange("lease_duration in seconds", lease_s, 1.0, 3600.0),
               InRange("attempt_limit", spec.attempt_limit(), 1, 1000),
               InRange("quality.context_tokens", quality.context_tokens(), 2, 1 << 20),
               InRange("quality.max_windows", quality.max_windows(), 0, 10'000'000),
               InRange("quality.max_task_items", quality.max_task_items(), 0, 10'000'000),
               InRange("quality.max_articles", quality.max_articles(), 0, 10'000'000)});
  for (const std::string& set : {quality.text_set(), quality.task_set(), quality.article_set()}) {
    if (status.ok() && !set.empty()) status = wire::ParsePromptSetName(set).status();
  }
  if (status.ok() && !v1::DivergenceMode_IsValid(quality.divergence_mode())) {
    return Invalid("UNKNOWN_ENUM", absl::StrCat("got quality.divergence_mode = ", quality.divergence_mode(),
                                                ", expected AUTO, EXACT or STREAMED"));
  }
  if (!status.ok() || !quality.divergence()) return status;
  if (quality.divergence_mode() == v1::DIVERGENCE_MODE_STREAMED && !has_fp16) {
    return Invalid(
        "STREAMED_NEEDS_FP16",
        "got quality.divergence_mode = STREAMED without fp16 among the variants, expected it: its worker sends "
        "what the others are compared with. Add fp16, or choose EXACT");
  }
  if (!quality.text_set().empty()) return absl::OkStatus();
  return Invalid("DIVERGENCE_NEEDS_TEXT",
                 "got quality.divergence without quality.text_set, expected the text on whose windows FP16 and the "
                 "variants are compared");
}

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

bool IsFinite(const v1::Profile& p) {
  for (double value : {p.weights().speed(), p.weights().quality(), p.weights().stability(), p.weights().memory(),
                       p.stability_alpha(), p.stability_beta(), p.max_delta_nll()}) {
    if (!std::isfinite(value)) return false;
  }
  return true;
}

}  // namespace

v1::JobSpec WithDefaults(v1::JobSpec spec) {
  v1::TimingSpec& timing = *spec.mutable_timing();
  if (timing.repeats() == 0) timing.set_repeats(3);
  if (timing.max_output_tokens() == 0) timing.set_max_output_tokens(512);
  if (timing.output_length() == v1::OUTPUT_LENGTH_UNSPECIFIED) timing.set_output_length(v1::OUTPUT_LENGTH_MATCHED);
  if (timing.block_prompts() == 0) timing.set_block_prompts(8);
  if (!timing.has_warmup_generations()) timing.set_warmup_generations(1);
  if (!timing.has_clear_cache()) timing.set_clear_cache(true);
  if (spec.quality().context_tokens() == 0) spec.mutable_quality()->set_context_tokens(2048);
  if (spec.quality().divergence_mode() == v1::DIVERGENCE_MODE_UNSPECIFIED) {
    spec.mutable_quality()->set_divergence_mode(v1::DIVERGENCE_MODE_AUTO);
  }
  if (!spec.has_lease_duration()) spec.mutable_lease_duration()->set_seconds(30);
  if (spec.attempt_limit() == 0) spec.set_attempt_limit(5);
  return spec;
}

absl::Status ValidateRequestId(absl::string_view id) {
  const bool printable = std::all_of(id.begin(), id.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!id.empty() && id.size() <= kMaxIdChars && printable) return absl::OkStatus();
  return Invalid("INVALID_REQUEST_ID", absl::StrCat("got request_id = ", Shown(id),
                                                    ", expected 1 to 128 printable ASCII characters, new for every "
                                                    "request and kept for its retries"));
}

absl::Status ValidatePageSize(std::int32_t size, std::int32_t largest) {
  return InRange("page_size", size, 0, largest);
}

absl::Status Validate(const v1::CreateJobRequest& request) {
  if (absl::Status id = ValidateRequestId(request.request_id()); !id.ok()) return id;
  if (!request.has_spec()) return Invalid("NO_SPEC", "got no spec, expected what to measure");
  return ValidateSpec(request.spec());
}

absl::Status Validate(const v1::PromptSetHeader& header) {
  if (header.kind() != v1::PROMPT_SET_KIND_PROMPTS && header.kind() != v1::PROMPT_SET_KIND_TEXT) {
    return Invalid("UNKNOWN_ENUM", absl::StrCat("got kind = ", header.kind(), ", expected PROMPTS or TEXT"));
  }
  if (header.sources_size() > kMaxSources) {
    return Invalid("OUT_OF_RANGE",
                   absl::StrCat("got ", header.sources_size(), " sources, expected at most ", kMaxSources));
  }
  for (const v1::PromptSource& source : header.sources()) {
    absl::Status valid =
        FirstOf({Text("sources.dataset", source.dataset(), kMaxIdChars), Text("sources.file", source.file(), 1024),
                 Text("sources.file_sha256", source.file_sha256(), kDigestChars),
                 Text("sources.shots_sha256", source.shots_sha256(), kDigestChars)});
    if (!valid.ok()) return valid;
  }
  return Text("display_name", header.display_name(), 4 * 128);
}

absl::Status Validate(const v1::Prompt& prompt, v1::PromptSetKind kind) {
  if (absl::Status id = PlainId("prompt id", prompt.id()); !id.ok()) return id;
  const bool has_messages = !prompt.messages().empty();
  if (prompt.text().empty() != has_messages) {
    return Invalid("EMPTY_PROMPT",
                   absl::StrCat("got prompt ", prompt.id(), has_messages ? " with both" : " with neither",
                                " text and messages, expected exactly one"));
  }
  if (kind == v1::PROMPT_SET_KIND_TEXT && has_messages) {
    return Invalid("TEXT_WITH_MESSAGES",
                   absl::StrCat("got messages in piece ", prompt.id(), " of a text, expected text"));
  }
  for (const v1::ChatMessage& message : prompt.messages()) {
    if (message.role() != "system" && message.role() != "user" && message.role() != "assistant") {
      return Invalid("UNKNOWN_ROLE", absl::StrCat("got role ", Shown(message.role()), " in prompt ", prompt.id(),
                                                  ", expected system, user or assistant"));
    }
    if (message.content().empty()) {
      return Invalid("EMPTY_PROMPT", absl::StrCat("got an empty message in prompt ", prompt.id(), ", expected text"));
    }
  }
  if (!v1::PromptGroup_IsValid(prompt.group())) {
    return Invalid("UNKNOWN_ENUM", absl::StrCat("got group = ", prompt.group(), " in prompt ", prompt.id(),
                                                ", expected one of PromptGroup"));
  }
  if (prompt.has_task()) {
    if (absl::Status task = ValidateTask(prompt); !task.ok()) return task;
  }
  return Text("category", prompt.category(), kMaxIdChars);
}

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

absl::Status Validate(const v1::Profile& profile) {
  if (!IsFinite(profile))
    return Invalid("NOT_A_NUMBER", "got a weight or constraint that is not finite, expected numbers");
  if (profile.formula() == v1::UTILITY_FORMULA_UNSPECIFIED || !v1::UtilityFormula_IsValid(profile.formula())) {
    return Invalid("UNKNOWN_ENUM",
                   absl::StrCat("got formula = ", profile.formula(), ", expected UTILITY, REGIME or FULL"));
  }
  if (profile.normalization() == v1::NORMALIZATION_UNSPECIFIED || !v1::Normalization_IsValid(profile.normalization())) {
    return Invalid("UNKNOWN_ENUM",
                   absl::StrCat("got normalization = ", profile.normalization(), ", expected MINMAX or BASELINE"));
  }
  if (!v1::StabilityForm_IsValid(profile.stability_form())) {
    return Invalid("UNKNOWN_ENUM",
                   absl::StrCat("got stability_form = ", profile.stability_form(), ", expected RELATIVE or COMBINED"));
  }
  for (const v1::Constraint& constraint : profile.constraints()) {
    if (absl::Status figure = Validate(constraint); !figure.ok()) return figure;
  }
  return Text("description", profile.description(), 1024);
}

absl::Status Validate(const v1::Constraint& constraint) {
  if (constraint.figure() != v1::LIMITED_FIGURE_UNSPECIFIED && v1::LimitedFigure_IsValid(constraint.figure())) {
    return absl::OkStatus();
  }
  return Invalid("UNKNOWN_ENUM", absl::StrCat("got figure = ", constraint.figure(),
                                              " in a constraint, expected one of LimitedFigure, e.g. LATENCY_P95"));
}

absl::Status Validate(const v1::CreateProfileRequest& request) {
  return FirstOf({ValidateRequestId(request.request_id()), wire::ParseProfileName(request.profile().name()).status(),
                  Validate(request.profile())});
}

}  // namespace uaqf::rpc
