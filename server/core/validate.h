// What a job may ask for. Every refusal says what was got, what was expected and what to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/core/types.h"
#include "server/core/worker.h"

namespace uaqf::core {

// Caps that keep one job from taking the coordinator.
struct Limits {
  std::int32_t max_variants = 64;
  std::int64_t max_records = 10'000'000;
  std::int64_t max_chunks = 500'000;
  std::int32_t max_active_jobs = 100;
};

// The digest of the text set that a variant is to be calibrated on by its option "text"; empty where it has none.
std::string CalibrationText(const std::string& variant);

// Ranges of the fields, names without duplicates, MATCHED with the baseline among the variants, no variant calibrated
// on the text that is scored, records and chunks within the limits. InvalidArgument. Needs no worker.
[[nodiscard]] absl::Status ValidateSpec(const JobSpec& spec, std::int32_t prompt_count, const Limits& limits);

// The model and its variants against what the connected workers can read.
// FailedPrecondition: no worker has the model (names those there are). InvalidArgument: an unknown variant (names the
// known ones), or one that does not fit the model (says why, and which fit).
[[nodiscard]] absl::Status ValidateAgainstModels(const JobSpec& spec, absl::Span<const ModelInfo* const> models);

// What a survey tells about a spec: an input plus its output beyond the model's context, a text without one whole
// window. InvalidArgument; the job then fails with that message.
[[nodiscard]] absl::Status ValidateSurvey(const JobSpec& spec, const Survey& survey, std::int32_t model_context_tokens);

}  // namespace uaqf::core
