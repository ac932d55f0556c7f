#include "client/job_spec.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/failure.h"
#include "client/json.h"
#include "client/traffic_flags.h"

namespace uaqf::client {
namespace {

absl::StatusOr<v1::OutputLength> ParseOutputLength(const std::string& text) {
  for (const v1::OutputLength length :
       {v1::OUTPUT_LENGTH_MATCHED, v1::OUTPUT_LENGTH_FIXED, v1::OUTPUT_LENGTH_NATURAL}) {
    if (text == OutputLengthName(length)) return length;
  }
  return UsageError(absl::StrCat("got --output-length ", text, ", expected matched, fixed or natural"));
}

absl::StatusOr<v1::DivergenceMode> ParseDivergenceMode(const std::string& text) {
  for (const v1::DivergenceMode mode :
       {v1::DIVERGENCE_MODE_AUTO, v1::DIVERGENCE_MODE_EXACT, v1::DIVERGENCE_MODE_STREAMED}) {
    if (text == DivergenceModeName(mode)) return mode;
  }
  return UsageError(absl::StrCat("got --divergence-mode ", text, ", expected auto, exact or streamed"));
}

absl::Status ApplyTiming(const JobFlags& flags, v1::TimingSpec* timing) {
  if (flags.repeats) timing->set_repeats(*flags.repeats);
  if (flags.input_tokens) timing->set_input_tokens(*flags.input_tokens);
  if (flags.max_output_tokens) timing->set_max_output_tokens(*flags.max_output_tokens);
  if (flags.block) timing->set_block_prompts(*flags.block);
  if (flags.warmup) timing->set_warmup_generations(*flags.warmup);
  if (flags.chat) timing->set_chat(true);
  if (flags.keep_cache) timing->set_clear_cache(false);
  if (flags.output_length) {
    const auto length = ParseOutputLength(*flags.output_length);
    if (!length.ok()) return length.status();
    timing->set_output_length(*length);
  }
  return absl::OkStatus();
}

// 0 is the field's default, so the coordinator could not tell it from "not given".
absl::Status RefuseZeros(const JobFlags& flags) {
  struct Flag {
    const char* name;
    const std::optional<std::int32_t>& value;
    const char* range;
  };
  for (const Flag& flag :
       {Flag{"--repeats", flags.repeats, "1 to 100"}, Flag{"--max-output-tokens", flags.max_output_tokens, "1 to 4096"},
        Flag{"--block", flags.block, "1 to 1000"}, Flag{"--attempts", flags.attempts, "1 to 1000"},
        Flag{"--context", flags.context, "2 to the model's context"},
        Flag{"--task-items", flags.task_items, "1 or more"}, Flag{"--articles", flags.articles, "1 or more"}}) {
    if (flag.value && *flag.value <= 0) {
      return UsageError(absl::StrCat("got ", flag.name, " ", *flag.value, ", expected ", flag.range));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckComplete(const v1::JobSpec& spec) {
  const char* missing = spec.model().empty()        ? "--model"
                        : spec.variants().empty()   ? "--variants"
                        : spec.prompt_set().empty() ? "--prompts"
                                                    : nullptr;
  if (missing != nullptr) {
    return UsageError(absl::StrCat("got no ", missing,
                                   ", expected --model MODEL --variants A,B --prompts SET, or --spec FILE with them\n"
                                   "see: uaqf workers (models)    uaqf variants MODEL    uaqf prompts list"));
  }
  const v1::QualitySpec& quality = spec.quality();
  const bool windows = quality.max_windows() != 0 || (quality.context_tokens() != 0 && quality.article_set().empty());
  if (windows && quality.text_set().empty()) {
    return UsageError("got --context or --windows without --quality-text, expected the text whose windows are scored");
  }
  if (quality.max_articles() != 0 && quality.article_set().empty()) {
    return UsageError("got --articles without --wikitext, expected the raw WikiText of which so many are scored");
  }
  if (quality.divergence() && quality.text_set().empty()) {
    return UsageError("got --divergence without --quality-text, expected the text on whose windows FP16 is compared");
  }
  const bool streamed = quality.divergence() && quality.divergence_mode() == v1::DIVERGENCE_MODE_STREAMED;
  if (streamed && std::count(spec.variants().begin(), spec.variants().end(), "fp16") == 0) {
    return UsageError(
        "got --divergence-mode streamed without fp16 among --variants, expected it: its worker sends what the others "
        "are "
        "compared with");
  }
  if (spec.quality().max_task_items() != 0 && spec.quality().task_set().empty()) {
    return UsageError("got --task-items without --tasks, expected the set of which so many are scored");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::JobSpec> BuildJobSpec(const JobFlags& flags, const std::string& spec_json) {
  v1::JobSpec spec;
  if (!spec_json.empty()) {
    if (absl::Status read = FromJson(spec_json, flags.spec_file.value_or("--spec"), &spec); !read.ok()) return read;
  }
  if (absl::Status zeros = RefuseZeros(flags); !zeros.ok()) return zeros;
  if (flags.model) spec.set_model(*flags.model);
  if (!flags.variants.empty()) {
    spec.clear_variants();
    for (const std::string& variant : flags.variants) {
      if (!variant.empty()) spec.add_variants(variant);
    }
  }
  if (flags.prompts) spec.set_prompt_set(*flags.prompts);
  if (absl::Status timing = ApplyTiming(flags, spec.mutable_timing()); !timing.ok()) return timing;
  if (flags.quality_text) spec.mutable_quality()->set_text_set(*flags.quality_text);
  if (flags.context) spec.mutable_quality()->set_context_tokens(*flags.context);
  if (flags.windows) spec.mutable_quality()->set_max_windows(*flags.windows);
  if (flags.tasks) spec.mutable_quality()->set_task_set(*flags.tasks);
  if (flags.task_items) spec.mutable_quality()->set_max_task_items(*flags.task_items);
  if (flags.divergence || flags.divergence_mode) spec.mutable_quality()->set_divergence(true);
  if (flags.divergence_mode) {
    const auto mode = ParseDivergenceMode(*flags.divergence_mode);
    if (!mode.ok()) return mode.status();
    spec.mutable_quality()->set_divergence_mode(*mode);
  }
  if (flags.wikitext) spec.mutable_quality()->set_article_set(*flags.wikitext);
  if (flags.articles) spec.mutable_quality()->set_max_articles(*flags.articles);
  if (flags.no_noise_floor) spec.set_noise_floor(false);
  if (flags.grid) {
    const auto grid = ParseGrid(*flags.grid);
    if (!grid.ok()) return grid.status();
    *spec.mutable_grid() = *grid;
  }
  if (flags.until_decided) spec.mutable_allocation()->set_until_decided(*flags.until_decided);
  if (flags.decide_by) {
    absl::string_view id = *flags.decide_by;
    absl::ConsumePrefix(&id, "profiles/");
    spec.mutable_allocation()->set_profile(absl::StrCat("profiles/", id));
  }
  if (flags.budget) {
    const auto budget = ParseDuration(*flags.budget);
    if (!budget.ok()) return budget.status();
    *spec.mutable_allocation()->mutable_device_time() = *budget;
  }
  if (flags.seed) spec.set_seed(*flags.seed);
  if (flags.attempts) spec.set_attempt_limit(*flags.attempts);
  if (flags.lease) {
    const auto lease = ParseDuration(*flags.lease);
    if (!lease.ok()) return lease.status();
    *spec.mutable_lease_duration() = *lease;
  }
  if (absl::Status complete = CheckComplete(spec); !complete.ok()) return complete;
  return spec;
}

absl::StatusOr<google::protobuf::Duration> ParseDuration(const std::string& text) {
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return UsageError(absl::StrCat("got the duration \"", text, "\", expected for example 30s, 1m30s or 500ms"));
  }
  if (duration <= absl::ZeroDuration() || duration > absl::Hours(24 * 365)) {
    return UsageError(absl::StrCat("got the duration \"", text, "\", expected one above 0"));
  }
  google::protobuf::Duration out;
  out.set_seconds(absl::ToInt64Seconds(duration));
  out.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(out.seconds()))));
  return out;
}

std::string OutputLengthName(v1::OutputLength length) {
  switch (length) {
    case v1::OUTPUT_LENGTH_FIXED:
      return "fixed";
    case v1::OUTPUT_LENGTH_NATURAL:
      return "natural";
    default:
      return "matched";
  }
}

std::string DivergenceModeName(v1::DivergenceMode mode) {
  switch (mode) {
    case v1::DIVERGENCE_MODE_EXACT:
      return "exact";
    case v1::DIVERGENCE_MODE_STREAMED:
      return "streamed";
    default:
      return "auto";
  }
}

}  // namespace uaqf::client
