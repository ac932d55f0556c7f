#include "worker/commands/hosted_model.h"

#include <unistd.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "worker/commands/text_file.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/hosted_variant.h"

namespace uaqf::commands {
namespace {

// Written over itself on a terminal; elsewhere a line for each block.
bool ShowProgress(int64_t done, int64_t all) {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  std::cerr << (terminal ? "\r" : "") << "calibrating: " << done << " of " << all << " blocks"
            << (terminal && done < all ? "" : "\n") << std::flush;
  return true;
}

}  // namespace

absl::StatusOr<evaluate::CalibrationRequest> RequestOf(const CalibrationOption& calibration,
                                                       const ComputeOptions& compute, int threads) {
  evaluate::CalibrationRequest request;
  if (!calibration.text.empty()) {
    auto text = ReadTextFile(calibration.text, /*join_rows=*/false);
    if (!text.ok()) return text.status();
    request.text = *std::move(text);
  }
  request.options = {compute.device, threads, ShowProgress};
  return request;
}

absl::StatusOr<std::unique_ptr<engine::Engine>> LoadEngine(const evaluate::OpenModel& model, const std::string& variant,
                                                           const std::string& models, const ComputeOptions& compute,
                                                           const CalibrationOption& calibration,
                                                           int64_t sequence_tokens, int64_t max_batch) {
  auto found = evaluate::ResolveVariant(model, variant, models.empty() ? evaluate::DefaultModelsFolder() : models);
  if (!found.ok()) return found.status();
  if (sequence_tokens > model.config().context) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sequence of ", sequence_tokens, " tokens, input and output: ", "expected at most ", model.config().context,
        ", the context of ", model.config().name, "; shorten the prompt or ask for fewer"));
  }
  auto cpus = ConfineTo(compute);
  if (!cpus.ok()) return cpus.status();
  engine::EngineOptions options = {compute.device, compute.threads, *cpus, sequence_tokens, max_batch};
  if (!quantize::NeedsCalibration(found->variant)) {
    return engine::Engine::Create(found->weights(model), found->variant, options);
  }
  auto request = RequestOf(calibration, compute, static_cast<int>(cpus->size()));
  if (!request.ok()) return request.status();
  auto calibrated = evaluate::PrepareCalibrated(model, found->variant, *request, {.folder = calibration.artifacts});
  if (!calibrated.ok()) return calibrated.status();
  options.blocks = calibrated->blocks();
  return engine::Engine::Create(model.checkpoint(), found->variant, options);
}

absl::StatusOr<ScoredText> OpenScored(const ModelOption& model, const std::string& text_file,
                                      const CalibrationOption& calibration, bool join_rows) {
  auto path = Resolve(model);
  if (!path.ok()) return path.status();
  auto opened = evaluate::OpenModel::Open(*path);
  if (!opened.ok()) return opened.status();
  if (absl::Status quality = evaluate::CheckHasQuality(**opened); !quality.ok()) return quality;
  auto text = ReadTextFile(text_file, join_rows);
  if (!text.ok()) return text.status();
  if (absl::Status other = CheckOtherText(calibration.text, text_file, *text); !other.ok()) return other;
  return ScoredText{*std::move(opened), *std::move(text)};
}

}  // namespace uaqf::commands
