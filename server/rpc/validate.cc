#include "server/rpc/validate.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/rpc/field_checks.h"

namespace uaqf::rpc {
namespace {

constexpr int kMaxVariants = 64;
constexpr int kMaxSources = 32;

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

bool HasFp16(const v1::JobSpec& spec) {
  return std::find(spec.variants().begin(), spec.variants().end(), "fp16") != spec.variants().end();
}

// Whether there is something to compare that noise may hide.
bool ComparesWithFp16(const v1::JobSpec& spec) { return spec.variants_size() > 1 && HasFp16(spec); }

absl::Status ValidateAllocation(const v1::AllocationSpec& allocation) {
  const double seconds =
      static_cast<double>(allocation.device_time().seconds()) + allocation.device_time().nanos() * 1e-9;
  absl::Status status = FirstOf({InRange("allocation.until_decided", allocation.until_decided(), 0.0, 0.999),
                                 InRange("allocation.device_time in seconds", seconds, 0.0, 366 * 86400.0)});
  if (!status.ok() || allocation.profile().empty()) return status;
  if (allocation.until_decided() == 0) {
    return Invalid("ALLOCATION_PROFILE_WITHOUT_DECISION",
                   absl::StrCat("got allocation.profile = ", allocation.profile(),
                                " without allocation.until_decided, expected both, or neither"));
  }
  return wire::ParseProfileName(allocation.profile()).status();
}

absl::Status ValidateSpec(const v1::JobSpec& spec) {
  if (absl::Status variants = ValidateVariants(spec); !variants.ok()) return variants;
  const bool has_fp16 = HasFp16(spec);
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
  if (status.ok() && spec.noise_floor() && !ComparesWithFp16(spec)) {
    return Invalid("NOISE_FLOOR_NEEDS_FP16",
                   "got noise_floor without fp16 and another variant, expected both: it is what fp16 differs from "
                   "itself, beneath which no variants are told apart. Add them, or leave noise_floor out");
  }
  if (status.ok()) status = ValidateAllocation(spec.allocation());
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
  if (spec.allocation().until_decided() > 0 && spec.allocation().profile().empty()) {
    spec.mutable_allocation()->set_profile("profiles/balanced");
  }
  if (spec.has_grid() && spec.grid().draws() == 0) spec.mutable_grid()->set_draws(8);
  if (!spec.has_noise_floor()) spec.set_noise_floor(ComparesWithFp16(spec));
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
