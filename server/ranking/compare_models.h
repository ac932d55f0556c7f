// One report over jobs of several models: what each variant gains and loses against fp16 of its own model, by the size
// of the model (the paper's section 4.3), and the trend of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/measures.h"
#include "server/ranking/model_trend.h"
#include "server/ranking/resample.h"

namespace uaqf::ranking {

// A job of one model. What it points to must outlive the call.
struct ModelJob {
  std::string job;    // "jobs/{job}"
  std::string model;  // id
  std::int64_t parameters = 0;
  std::string release_format;                            // "": an original release
  const std::vector<VariantMeasures>* common = nullptr;  // over records that its variants have in common
  const Resampled* resampled = nullptr;                  // of the same, in the same order
};

// A figure with its 95 % interval over prompts, or windows; absent with fewer than kLeastUnits of them.
struct ModelFigure {
  double value = 0;
  std::optional<Interval> interval{};
};

// A variant against fp16 of its model. Absent: not measured, never 0.
struct ModelVariant {
  std::string variant;
  std::optional<ModelFigure> speedup{};           // ratio of mean tokens/s
  std::optional<ModelFigure> nll_loss{};          // nats per token, of the model's own tokens
  std::optional<ModelFigure> relative_loss{};     // nll_loss by fp16's loss: a token counts for nothing in it
  std::optional<ModelFigure> perplexity_ratio{};  // exp(nll_loss)
  std::optional<double> memory_ratio{};
  std::string reason{};  // why figures are absent or without interval; empty when none is
};

struct MeasuredModel {
  std::string job;
  std::string model;
  std::int64_t parameters = 0;
  std::string release_format;
  // Of fp16.
  std::optional<double> tokens_per_s{};
  std::optional<double> nll{};
  std::optional<std::int64_t> memory_bytes{};
  std::vector<ModelVariant> variants{};  // but fp16, in the order of the job's spec
};

// Of a variant over the models that it was measured on, with an interval. Absent where they are fewer than two sizes.
struct VariantTrend {
  std::string variant;
  std::optional<Trend> speed{};  // of log2(speedup): a slope of 1 doubles it with each tenfold
  std::optional<Trend> nll_loss{};
  std::optional<Trend> relative_loss{};
};

struct ModelComparison {
  std::vector<MeasuredModel> models;  // smallest first
  std::vector<VariantTrend> trends;   // of variants in two jobs or more, in the order of their first
  std::vector<std::string> notes;     // what the reader must know
};

// Jobs of different models, alike in all else (comparability.h), parameters above 0. Their order does not matter but
// for models of one size. FailedPrecondition: a job has no fp16 that was measured, or no variant beside it is in two
// jobs.
[[nodiscard]] absl::StatusOr<ModelComparison> CompareModels(const std::vector<ModelJob>& jobs);

}  // namespace uaqf::ranking
