// The worker's commands. Each Add* declares one on the program's command line; when the person called it, `run` is set
// to what it does. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 coordinator unavailable.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace uaqf::commands {

// What runs after the command line was understood.
using Run = std::function<absl::Status()>;

void AddServe(CLI::App& app, Run& run);
void AddInspect(CLI::App& app, Run& run);
void AddEncode(CLI::App& app, Run& run);
void AddGenerate(CLI::App& app, Run& run);
void AddPerplexity(CLI::App& app, Run& run);
void AddWikitext(CLI::App& app, Run& run);
void AddBench(CLI::App& app, Run& run);
void AddQuantize(CLI::App& app, Run& run);

// Options that the commands share.
struct ModelOption {
  std::string model;
  std::string folder;
};
struct ComputeOptions {
  std::string device = "cpu";
  int threads = 0;
  std::string cpus;
};
// The text that variants which need it are calibrated on, and where the result is kept.
struct CalibrationOption {
  std::string text;
  std::string artifacts;
};
void AddModelOption(CLI::App& command, ModelOption& option);
void AddComputeOptions(CLI::App& command, ComputeOptions& options);
void AddCalibrationTextOption(CLI::App& command, std::string& text);
void AddArtifactsOption(CLI::App& command, std::string& folder);
// "--output text|json"; sets `json`.
void AddOutputOption(CLI::App& command, bool& json);
// Shown below the options in --help.
void AddExample(CLI::App& command, const std::string& example);

// Path of the model that was named.
absl::StatusOr<std::string> Resolve(const ModelOption& option);
// The CPUs named, or those available, after the process was confined to them; as many as --threads says, when given.
absl::StatusOr<std::vector<int>> ConfineTo(const ComputeOptions& options);

// Exit code of a command line that was not understood, said on standard error; 0 for help and the version, shown.
int ReportUsage(const CLI::App& app, const CLI::ParseError& error);
// Exit code of a command that ended with `status`; says an error on standard error.
int Report(const absl::Status& status);

}  // namespace uaqf::commands
