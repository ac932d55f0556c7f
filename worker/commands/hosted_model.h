// One variant of a model, loaded for a command.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/commands/command.h"
#include "worker/engine/engine.h"
#include "worker/evaluate/calibrated.h"
#include "worker/evaluate/engine_text_model.h"
#include "worker/evaluate/open_model.h"

namespace uaqf::commands {

// Calibrates the variant first where it needs that and no artifact has it. `models` is the folder whose releases
// "checkpoint:NAME" may name; empty: the default one. INVALID_ARGUMENT: an unknown variant, one that does not fit, or a
// sequence beyond the model's context. `max_batch`: sequences of a batch, for engines that are asked for one.
[[nodiscard]] absl::StatusOr<std::unique_ptr<engine::Engine>> LoadEngine(
    const evaluate::OpenModel& model, const std::string& variant, const std::string& models,
    const ComputeOptions& compute, const CalibrationOption& calibration, int64_t sequence_tokens,
    int64_t max_batch = 1);

// A model and the text it is scored on.
struct ScoredText {
  std::unique_ptr<evaluate::OpenModel> model;
  std::string text;
};

// INVALID_ARGUMENT also: the model has random weights, or `calibration` has the same text. Otherwise the errors of
// Resolve, OpenModel::Open and ReadTextFile.
[[nodiscard]] absl::StatusOr<ScoredText> OpenScored(const ModelOption& model, const std::string& text_file,
                                                    const CalibrationOption& calibration, bool join_rows);

// What the options ask for, with progress on standard error.
[[nodiscard]] absl::StatusOr<evaluate::CalibrationRequest> RequestOf(const CalibrationOption& calibration,
                                                                     const ComputeOptions& compute, int threads);

}  // namespace uaqf::commands
