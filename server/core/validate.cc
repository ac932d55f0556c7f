#include "server/core/validate.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/plan.h"

namespace uaqf::core {
namespace {

absl::Status OutOfRange(const std::string& field, std::int64_t got, std::int64_t low, std::int64_t high,
                        const std::string& hint = "") {
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", got, ", expected ", low, " to ", high, hint.empty() ? "" : ": ", hint));
}

struct Range {
  const char* field;
  std::int64_t got;
  std::int64_t low;
  std::int64_t high;
};

absl::Status CheckAxis(const char* field, const std::vector<std::int32_t>& values, std::int32_t most) {
  if (values.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, " is empty, expected at least one value: a grid needs batches, ", "input_tokens and output_tokens"));
  }
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (values[k] < 1 || values[k] > most) return OutOfRange(field, values[k], 1, most);
    if (k > 0 && values[k] <= values[k - 1]) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, " is ", absl::StrJoin(values, ", "), ", expected ascending values, each once"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckGrid(const JobSpec& spec) {
  const TrafficGrid& grid = spec.grid;
  if (grid.batches.empty() && grid.input_tokens.empty() && grid.output_tokens.empty()) return absl::OkStatus();
  for (const absl::Status& axis :
       {CheckAxis("grid.batches", grid.batches, kMostBatch), CheckAxis("grid.input_tokens", grid.input_tokens, 65536),
        CheckAxis("grid.output_tokens", grid.output_tokens, 4096)}) {
    if (!axis.ok()) return axis;
  }
  if (grid.Count() > kMostTrafficCells) {
    return OutOfRange("the number of the grid's combinations", grid.Count(), 1, kMostTrafficCells);
  }
  if (grid.draws < 1 || grid.draws > 100) return OutOfRange("grid.draws", grid.draws, 1, 100);
  if (!spec.allocation.InRounds()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the job has a grid and an allocation that may end it before the grid is measured, expected one of them: submit "
      "the "
      "grid as a job of its own");
}

absl::Status CheckRanges(const JobSpec& spec) {
  const TimingSpec& timing = spec.timing;
  const Range ranges[] = {
      {"timing.repeats", timing.repeats, 1, 100},
      {"timing.input_tokens", timing.input_tokens, 0, 1 << 20},
      {"timing.max_output_tokens", timing.max_output_tokens, 1, 4096},
      {"timing.block_prompts", timing.block_prompts, 1, 1000},
      {"timing.warmup_generations", timing.warmup_generations, 0, 10},
      {"quality.context_tokens", spec.quality.text_set.empty() ? 2 : spec.quality.context_tokens, 2, 1 << 20},
      // One token less is read, which is two at least.
      {"quality.context_tokens", spec.quality.article_set.empty() ? 3 : spec.quality.context_tokens, 3, 1 << 20},
      {"quality.max_articles", spec.quality.max_articles, 0, 1 << 24},
      {"quality.max_windows", spec.quality.max_windows, 0, 1 << 24},
      {"quality.max_task_items", spec.quality.max_task_items, 0, 1 << 24},
      {"attempt_limit", spec.attempt_limit, 1, 1000},
  };
  for (const Range& range : ranges) {
    if (range.got < range.low || range.got > range.high)
      return OutOfRange(range.field, range.got, range.low, range.high);
  }
  const AllocationSpec& allocation = spec.allocation;
  if (!(allocation.until_decided >= 0) || allocation.until_decided > 0.999) {
    return absl::InvalidArgumentError(absl::StrCat("allocation.until_decided is ", allocation.until_decided,
                                                   ", expected a probability to 0.999, or 0 to measure everything"));
  }
  if (allocation.until_decided > 0 && std::count(spec.variants.begin(), spec.variants.end(), kBaselineVariant) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("allocation.until_decided needs ", kBaselineVariant,
                                                   " among the variants, got ", absl::StrJoin(spec.variants, ", "),
                                                   ": what is best is told by differences to it"));
  }
  if (allocation.device_time_ns < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("allocation.device_time is ", allocation.device_time_ns / 1e9, " s, expected 0 or more"));
  }
  if (absl::Status grid = CheckGrid(spec); !grid.ok()) return grid;
  if (spec.quality.divergence && spec.quality.text_set.empty()) {
    return absl::InvalidArgumentError(
        "quality.divergence is asked for without quality.text_set, expected the text on whose windows FP16 and the "
        "variants are compared");
  }
  if (spec.quality.divergence_mode == DivergenceMode::kStreamed && spec.quality.divergence &&
      std::count(spec.variants.begin(), spec.variants.end(), kBaselineVariant) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("quality.divergence_mode STREAMED needs ", kBaselineVariant,
                                                   " among the variants, got ", absl::StrJoin(spec.variants, ", "),
                                                   ": add ", kBaselineVariant, ", or choose EXACT"));
  }
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (spec.lease_ns < kSecond || spec.lease_ns > 3600 * kSecond) {
    return absl::InvalidArgumentError(
        absl::StrCat("lease_duration is ", spec.lease_ns / 1e9, " s, expected 1 s to 3600 s"));
  }
  return absl::OkStatus();
}

absl::Status CheckCalibration(const JobSpec& spec) {
  for (const std::string& variant : spec.variants) {
    const std::string text = CalibrationText(variant);
    const bool scored = text == spec.quality.text_set || text == spec.quality.article_set;
    if (text.empty() || !scored) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        variant, " is to be calibrated on promptSets/", text, ", which is the text that is scored (quality.",
        text == spec.quality.text_set ? "text_set" : "article_set",
        "), expected another one, or its loss is made "
        "to look small: name another set behind text=, or leave it out for the workers' own prose"));
  }
  return absl::OkStatus();
}

absl::Status CheckNames(const JobSpec& spec, const Limits& limits) {
  if (spec.model.empty() || spec.model.size() > 256) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model has ", spec.model.size(), " characters, expected 1 to 256: name a model that a worker can read"));
  }
  const std::int64_t count = static_cast<std::int64_t>(spec.variants.size()) -
                             std::count(spec.variants.begin(), spec.variants.end(), kBaselineTwin);
  if (count < 1 || count > limits.max_variants) {
    return OutOfRange("the number of variants", count, 1, limits.max_variants,
                      "name what is to be compared, e.g. fp16");
  }
  std::set<std::string> seen;
  for (const std::string& variant : spec.variants) {
    if (!seen.insert(variant).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("variant \"", absl::CEscape(variant), "\" is named twice, expected each once: remove one"));
    }
  }
  if (spec.timing.output_length == OutputLength::kMatched && seen.count(kBaselineVariant) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("output length MATCHED needs ", kBaselineVariant,
                                                   " among the variants, got ", absl::StrJoin(spec.variants, ", "),
                                                   ": add ", kBaselineVariant, ", or choose FIXED or NATURAL"));
  }
  return absl::OkStatus();
}

std::string Listed(const std::vector<std::string>& names) {
  return names.empty() ? std::string("none") : absl::StrJoin(names, ", ");
}

// The variant as one of the workers sees it: one that fits before one that does not; null when no worker knows it.
const VariantInfo* FindVariant(const std::vector<const ModelInfo*>& models, const std::string& name) {
  const VariantInfo* found = nullptr;
  for (const ModelInfo* model : models) {
    for (const VariantInfo& variant : model->variants) {
      if (IsVariant(variant, name) && (found == nullptr || !found->fits)) found = &variant;
    }
  }
  return found;
}

std::vector<std::string> VariantNames(const std::vector<const ModelInfo*>& models, bool only_fitting) {
  std::vector<std::string> names;
  for (const ModelInfo* model : models) {
    for (const VariantInfo& variant : model->variants) {
      const bool wanted = variant.fits || !only_fitting;
      if (wanted && std::find(names.begin(), names.end(), variant.variant) == names.end())
        names.push_back(variant.variant);
    }
  }
  return names;
}

}  // namespace

std::string CalibrationText(const std::string& variant) {
  constexpr char kOption[] = ":text=";
  const std::size_t at = variant.find(kOption);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + sizeof(kOption) - 1;
  return variant.substr(begin, variant.find(':', begin) - begin);
}

absl::Status ValidateSpec(const JobSpec& spec, std::int32_t prompt_count, const Limits& limits) {
  if (absl::Status status = CheckNames(spec, limits); !status.ok()) return status;
  if (absl::Status status = CheckCalibration(spec); !status.ok()) return status;
  if (absl::Status status = CheckRanges(spec); !status.ok()) return status;
  if (prompt_count < 1) {
    return absl::InvalidArgumentError("the prompt set has no prompts, expected at least 1: import some");
  }
  const std::int64_t records = PlannedRecords(spec, prompt_count, spec.quality.max_windows, spec.quality.max_task_items,
                                              spec.quality.max_articles);
  if (records > limits.max_records) {
    return absl::InvalidArgumentError(absl::StrCat("the job would make ", records, " records, expected at most ",
                                                   limits.max_records, ": use fewer prompts, repeats or variants"));
  }
  const std::int64_t blocks = (prompt_count + spec.timing.block_prompts - 1) / spec.timing.block_prompts;
  const std::int64_t batches = static_cast<std::int64_t>(spec.grid.batches.size()) * spec.grid.draws;
  const std::int64_t chunks =
      (blocks * (spec.timing.repeats + 1) + batches) * static_cast<std::int64_t>(spec.variants.size());
  if (chunks > limits.max_chunks) {
    return absl::InvalidArgumentError(absl::StrCat("the job would have ", chunks, " chunks, expected at most ",
                                                   limits.max_chunks, ": raise timing.block_prompts above ",
                                                   spec.timing.block_prompts));
  }
  return absl::OkStatus();
}

absl::Status ValidateAgainstModels(const JobSpec& spec, absl::Span<const ModelInfo* const> models) {
  std::vector<const ModelInfo*> matching;
  std::set<std::string> known;
  for (const ModelInfo* model : models) {
    known.insert(model->model);
    if (model->model == spec.model) matching.push_back(model);
  }
  if (matching.empty()) {
    const std::vector<std::string> names(known.begin(), known.end());
    return absl::FailedPreconditionError(absl::StrCat("no worker has the model \"", absl::CEscape(spec.model),
                                                      "\"; the connected workers have: ", Listed(names),
                                                      ". Start a worker with --models on the folder that holds it"));
  }
  for (const std::string& name : spec.variants) {
    const VariantInfo* variant = FindVariant(matching, name);
    if (variant == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("unknown variant \"", absl::CEscape(name),
                                                     "\"\n  known: ", Listed(VariantNames(matching, false))));
    }
    if (!variant->fits) {
      return absl::InvalidArgumentError(absl::StrCat(name, " does not fit ", spec.model, ": ", variant->reason,
                                                     "\n  fits: ", Listed(VariantNames(matching, true))));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateSurvey(const JobSpec& spec, const Survey& survey, std::int32_t model_context_tokens) {
  if (!survey.error.empty()) return absl::InvalidArgumentError(survey.error);
  const std::int32_t context = model_context_tokens;
  if (context > 0 && MaxSequenceTokens(spec, survey) > context) {
    const std::int32_t input = spec.timing.input_tokens > 0 ? spec.timing.input_tokens : survey.longest_input_tokens;
    if (input + spec.timing.max_output_tokens > context) {
      return absl::InvalidArgumentError(
          absl::StrCat("the longest input has ", input, " tokens and ", spec.timing.max_output_tokens,
                       " may be emitted, expected at most ", context, " together, the context of ", spec.model,
                       ": lower max_output_tokens, set input_tokens, or drop that prompt"));
    }
    if (!spec.grid.Empty() && spec.grid.input_tokens.back() + spec.grid.output_tokens.back() > context) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the grid asks for ", spec.grid.input_tokens.back(), " tokens in and ", spec.grid.output_tokens.back(),
          " out, expected at most ", context, " together, the context of ", spec.model, ": lower one of them"));
    }
    if (survey.longest_task_tokens > context) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the longest task has ", survey.longest_task_tokens, " tokens, its shots and its output included, ",
          "expected at most ", context, ", the context of ", spec.model,
          ": import the tasks with fewer --shots, or choose a model with a longer context"));
    }
    return absl::InvalidArgumentError(absl::StrCat("quality.context_tokens is ", spec.quality.context_tokens,
                                                   ", expected at most ", context, ", the context of ", spec.model));
  }
  if (!spec.quality.task_set.empty() && survey.task_items < 1) {
    return absl::InvalidArgumentError(
        "the survey found no tasks in quality.task_set, expected at least one: is the worker older than the "
        "coordinator?");
  }
  if (!spec.quality.article_set.empty() && survey.articles < 1) {
    return absl::InvalidArgumentError(
        "the survey found no articles in quality.article_set, expected raw WikiText with text in it");
  }
  if (!spec.quality.text_set.empty() && survey.text_windows < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text has ", survey.text_tokens, " tokens, expected at least one window of ",
                     spec.quality.context_tokens, ": lower quality.context_tokens or give a longer text"));
  }
  return absl::OkStatus();
}

}  // namespace uaqf::core
