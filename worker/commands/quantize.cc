// uaqf-worker quantize: the quantized weights of one variant, as an artifact in a folder, or what it takes to make
// them.
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/commands/command.h"
#include "worker/commands/hosted_model.h"
#include "worker/evaluate/calibrated.h"
#include "worker/evaluate/quantization_cost.h"
#include "worker/quantize/variants.h"

namespace uaqf::commands {
namespace {

struct Options {
  ModelOption model;
  ComputeOptions compute;
  CalibrationOption calibration;
  std::string variant;
  std::string out;
  bool measure = false;
  int64_t blocks = 0;
  bool json = false;
};

void PrintCost(const Options& options, const evaluate::OpenModel& model, const evaluate::QuantizationCost& cost) {
  std::cout << absl::StrFormat("%s of %s on %s: %d of %d blocks, %d samples of %d tokens\n\n", options.variant,
                               model.config().name, options.compute.device, cost.blocks, model.config().layers,
                               cost.samples, cost.sample_tokens);
  const auto line = [](std::string_view name, double value, const char* unit) {
    std::cout << absl::StrFormat("  %-18s %9.2f %s\n", std::string(name), value, unit);
  };
  for (size_t i = 0; i < cost.stage_seconds.size(); ++i) {
    if (cost.stage_seconds[i] > 0) {
      line(quantize::StageName(static_cast<quantize::CalibrationStage>(i)), cost.stage_seconds[i], "s");
    }
  }
  constexpr double kGib = 1 << 30;
  line("all", cost.seconds, "s");
  line("host memory, peak", static_cast<double>(cost.host_bytes) / kGib, "GiB");
  if (cost.device_bytes > 0) line("GPU memory, peak", static_cast<double>(cost.device_bytes) / kGib, "GiB");
  line("artifact", static_cast<double>(cost.artifact_bytes) / kGib, "GiB, not kept");
}

// Keeps nothing.
absl::Status Measure(const Options& options, const evaluate::OpenModel& model, const quantize::Variant& variant,
                     evaluate::CalibrationRequest request) {
  request.options.blocks = options.blocks;
  const auto cost = evaluate::MeasureQuantization(model, variant, request);
  if (!cost.ok()) return cost.status();
  if (!options.json) {
    PrintCost(options, model, *cost);
    return absl::OkStatus();
  }
  nlohmann::ordered_json stages;
  for (size_t i = 0; i < cost->stage_seconds.size(); ++i) {
    stages[std::string(quantize::StageName(static_cast<quantize::CalibrationStage>(i)))] = cost->stage_seconds[i];
  }
  const nlohmann::ordered_json out = {{"model", model.config().name},
                                      {"variant", options.variant},
                                      {"device", options.compute.device},
                                      {"blocks", cost->blocks},
                                      {"blocks_of_model", model.config().layers},
                                      {"samples", cost->samples},
                                      {"sample_tokens", cost->sample_tokens},
                                      {"seconds", cost->seconds},
                                      {"stage_seconds", stages},
                                      {"host_peak_bytes", cost->host_bytes},
                                      {"device_peak_bytes", cost->device_bytes},
                                      {"artifact_bytes", cost->artifact_bytes}};
  std::cout << out.dump() << std::endl;
  return absl::OkStatus();
}

absl::Status Quantize(const Options& options) {
  auto path = Resolve(options.model);
  if (!path.ok()) return path.status();
  auto model = evaluate::OpenModel::Open(*path);
  if (!model.ok()) return model.status();
  auto variant = quantize::FindVariant(options.variant);
  if (!variant.ok()) return variant.status();
  if (absl::Status fits = quantize::FitsModel(*variant, (*model)->config()); !fits.ok()) return fits;
  if (!quantize::NeedsCalibration(*variant)) {
    return absl::InvalidArgumentError(absl::StrCat(options.variant,
                                                   " needs no calibration and is made while it is loaded; there is "
                                                   "nothing to keep"));
  }
  auto cpus = ConfineTo(options.compute);
  if (!cpus.ok()) return cpus.status();
  auto request = RequestOf(options.calibration, options.compute, static_cast<int>(cpus->size()));
  if (!request.ok()) return request.status();
  if (options.measure) return Measure(options, **model, *variant, *std::move(request));
  auto made = evaluate::CalibrateInto(options.out, **model, *variant, *request);
  if (!made.ok()) return made.status();
  if (options.json) {
    const nlohmann::ordered_json out = {{"folder", options.out},
                                        {"variant", options.variant},
                                        {"blocks", (*model)->config().layers},
                                        {"config", nlohmann::json::parse(made->config)}};
    std::cout << out.dump() << std::endl;
  } else {
    std::cout << options.variant << " of " << (*model)->config().name << ": " << (*model)->config().layers
              << " blocks in " << options.out << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace

void AddQuantize(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();  // shared by the parser's callbacks and the run
  CLI::App* command = app.add_subcommand("quantize", "Makes the quantized weights of a variant that needs calibration");
  AddModelOption(*command, options->model);
  command->add_option("--variant", options->variant, "variant to make")->required();
  CLI::Option* out = command->add_option("--out", options->out, "folder for it; an interrupted one is gone on with");
  CLI::Option* measure = command->add_flag(
      "--measure", options->measure,
      "keep nothing, and say what time and memory it takes; the only way for a synthetic model, on random tokens");
  measure->excludes(out);
  command->add_option("--blocks", options->blocks, "with --measure: only so many blocks from the first")
      ->needs(measure)
      ->check(CLI::Range(1, 1 << 20));
  AddComputeOptions(*command, options->compute);
  AddCalibrationTextOption(*command, options->calibration.text);
  AddOutputOption(*command, options->json);
  AddExample(*command, "uaqf-worker quantize smollm2-135m-instruct --variant gptq-w4-g64 --out gptq-w4-g64");
  command->callback([options, out, measure, &run] {
    if (out->empty() && measure->empty()) throw CLI::RequiredError("--out FOLDER or --measure");
    run = [options] { return Quantize(*options); };
  });
}

}  // namespace uaqf::commands
