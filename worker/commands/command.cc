#include "worker/commands/command.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/evaluate/catalog.h"
#include "worker/measure/cpu_set.h"

namespace uaqf::commands {

void AddModelOption(CLI::App& command, ModelOption& option) {
  command
      .add_option("MODEL", option.model, "a .gguf file, a Hugging Face folder, an id below --models, or synthetic:NAME")
      ->required();
  command.add_option("--models", option.folder,
                     "folder of models (default: $UAQF_MODELS, or what the set-up installed)");
}

void AddComputeOptions(CLI::App& command, ComputeOptions& options) {
  command.add_option("--device", options.device, "cpu or cuda:N (default: cpu)");
  command.add_option("--threads", options.threads, "compute threads (default: one for each CPU available)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--cpus", options.cpus, "CPUs to compute on, e.g. 0-3,6 (default: those available)");
}

void AddCalibrationTextOption(CLI::App& command, std::string& text) {
  command.add_option("--calibration-text", text,
                     "file with the text to calibrate on (default: prose that is part of this program)");
}

void AddArtifactsOption(CLI::App& command, std::string& folder) {
  command.add_option("--artifacts", folder,
                     "folder of quantized weights (default: $UAQF_ARTIFACTS, or in the cache folder)");
}

void AddOutputOption(CLI::App& command, bool& json) {
  command
      .add_option_function<std::string>(
          "--output", [&json](const std::string& form) { json = form == "json"; }, "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("FORM");
}

void AddExample(CLI::App& command, const std::string& example) { command.footer("Example:\n  " + example); }

absl::StatusOr<std::string> Resolve(const ModelOption& option) {
  return evaluate::ResolveModel(option.model, option.folder.empty() ? evaluate::DefaultModelsFolder() : option.folder);
}

absl::StatusOr<std::vector<int>> ConfineTo(const ComputeOptions& options) {
  std::vector<int> cpus = measure::AvailableCpus();
  if (!options.cpus.empty()) {
    auto listed = measure::ParseCpuList(options.cpus);
    if (!listed.ok()) return listed.status();
    if (absl::Status confined = measure::ConfineToCpus(*listed); !confined.ok()) return confined;
    cpus = *std::move(listed);
  }
  if (options.threads > static_cast<int>(cpus.size())) {
    return absl::InvalidArgumentError(absl::StrCat("--threads ", options.threads, ": expected at most ", cpus.size(),
                                                   ", one for each of the CPUs ", measure::FormatCpuList(cpus)));
  }
  if (options.threads > 0) cpus.resize(static_cast<size_t>(options.threads));
  return cpus;
}

int ReportUsage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
  const std::vector<CLI::App*> called = app.get_subcommands();
  std::string message = error.what();
  if (called.empty()) {
    const std::vector<std::string> words = app.remaining();
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(command->get_name());
    }
    message = absl::StrCat(words.empty() ? "got no command" : absl::StrCat("got \"", words[0], "\""),
                           ", expected one of ", absl::StrJoin(names, ", "));
  }
  std::cerr << "error: " << message << "\n  see: " << app.get_name() << " "
            << (called.empty() ? "" : called[0]->get_name() + " ") << "--help" << std::endl;
  return 2;
}

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "error: " << status.message() << std::endl;
  return status.code() == absl::StatusCode::kUnavailable ? 3 : 1;
}

}  // namespace uaqf::commands
