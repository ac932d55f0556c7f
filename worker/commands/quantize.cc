// uaqf-worker quantize: the quantized weights of one variant, as an artifact in a folder.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "worker/commands/command.h"
#include "worker/commands/hosted_model.h"
#include "worker/evaluate/calibrated.h"
#include "worker/quantize/variants.h"

namespace uaqf::commands {
namespace {

struct Options {
  ModelOption model;
  ComputeOptions compute;
  CalibrationOption calibration;
  std::string variant;
  std::string out;
  bool json = false;
};

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
  command->add_option("--out", options->out, "folder for it; an interrupted one is gone on with")->required();
  AddComputeOptions(*command, options->compute);
  AddCalibrationTextOption(*command, options->calibration.text);
  AddOutputOption(*command, options->json);
  AddExample(*command, "uaqf-worker quantize smollm2-135m-instruct --variant gptq-w4-g64 --out gptq-w4-g64");
  command->callback([options, &run] { run = [options] { return Quantize(*options); }; });
}

}  // namespace uaqf::commands
