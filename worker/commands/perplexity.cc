// uaqf-worker perplexity: the GPTQ recipe over a text.
#include "worker/evaluate/perplexity.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/commands/command.h"
#include "worker/commands/hosted_model.h"

namespace uaqf::commands {
namespace {

struct Options {
  ModelOption model;
  ComputeOptions compute;
  CalibrationOption calibration;
  std::string variant = "fp16";
  std::string text;
  bool join_rows = false;
  int context = 2048;
  int windows = 0;
  bool json = false;
};

// Written over itself on a terminal; elsewhere a line for each tenth.
void ShowProgress(int done, int all, double nll) {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  const std::string line = absl::StrFormat("window %d/%d  ppl %.4f", done, all, std::exp(nll));
  if (terminal) {
    std::cerr << "\r" << line << (done == all ? "\n" : "") << std::flush;
  } else if (done * 10 / all != (done - 1) * 10 / all) {
    std::cerr << line << std::endl;
  }
}

absl::StatusOr<std::vector<double>> ScoreWindows(engine::Engine& engine, const std::vector<int32_t>& ids, int context,
                                                 int windows) {
  std::vector<double> nll;
  for (int i = 0; i < windows; ++i) {
    auto score = evaluate::ScoreWindow(engine, ids, context, i);
    if (!score.ok()) return score.status();
    nll.push_back(score->nll_sum / score->scored_tokens);
    ShowProgress(i + 1, windows, evaluate::MeanNll(nll));
  }
  return nll;
}

absl::Status Perplexity(const Options& options) {
  auto scored = OpenScored(options.model, options.text, options.calibration, options.join_rows);
  if (!scored.ok()) return scored.status();
  const evaluate::OpenModel& model = *scored->model;
  auto ids = model.EncodeText(scored->text);
  if (!ids.ok()) return ids.status();
  int windows = evaluate::WindowCount(static_cast<int64_t>(ids->size()), options.context);
  if (windows == 0) {
    return absl::InvalidArgumentError(absl::StrCat(options.text, " has ", ids->size(),
                                                   " tokens: expected at least one window of ", options.context,
                                                   "; give a longer text or a smaller --context"));
  }
  if (options.windows > 0) windows = std::min(windows, options.windows);
  auto engine =
      LoadEngine(model, options.variant, options.model.folder, options.compute, options.calibration, options.context);
  if (!engine.ok()) return engine.status();
  auto nll = ScoreWindows(**engine, *ids, options.context, windows);
  if (!nll.ok()) return nll.status();
  const double mean = evaluate::MeanNll(*nll);
  if (options.json) {
    const nlohmann::ordered_json out = {{"tokens", ids->size()}, {"windows", windows}, {"context", options.context},
                                        {"window_nll", *nll},    {"nll", mean},        {"ppl", std::exp(mean)}};
    std::cout << out.dump() << std::endl;
  } else {
    std::cout << absl::StrFormat("%s  %d windows of %d (%d tokens in the text)  nll %.5f  ppl %.4f\n", options.variant,
                                 windows, options.context, ids->size(), mean, std::exp(mean));
  }
  return absl::OkStatus();
}

}  // namespace

void AddPerplexity(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();  // shared by the parser's callbacks and the run
  CLI::App* command = app.add_subcommand("perplexity", "Scores a text in disjoint windows (GPTQ recipe)");
  AddModelOption(*command, options->model);
  command->add_option("--variant", options->variant,
                      "variant to load, or checkpoint:NAME for a quantized release below --models (default: fp16)");
  command->add_option("--text", options->text, "file with the text, read verbatim")->required();
  command->add_flag("--join-rows", options->join_rows, "join the file's lines by blank lines, as the GPTQ recipe does");
  command->add_option("--context", options->context, "tokens in a window (default: 2048)")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--windows", options->windows, "score only so many windows")->check(CLI::Range(1, 1 << 30));
  AddComputeOptions(*command, options->compute);
  AddCalibrationTextOption(*command, options->calibration.text);
  AddArtifactsOption(*command, options->calibration.artifacts);
  AddOutputOption(*command, options->json);
  AddExample(*command,
             "uaqf-worker perplexity smollm2-135m-instruct --variant rtn-w4-g64 --text wiki.test.raw --windows 8");
  command->callback([options, &run] { run = [options] { return Perplexity(*options); }; });
}

}  // namespace uaqf::commands
