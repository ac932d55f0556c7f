// uaqf-worker generate: one greedy generation with its times.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "worker/commands/command.h"
#include "worker/commands/hosted_model.h"
#include "worker/measure/clock.h"
#include "worker/measure/generation.h"

namespace uaqf::commands {
namespace {

struct Options {
  ModelOption model;
  ComputeOptions compute;
  CalibrationOption calibration;
  std::string variant = "fp16";
  std::string prompt;
  bool chat = false;
  int max_tokens = 128;
  bool ignore_end = false;
  bool json = false;
};

double Milliseconds(int64_t ns) { return static_cast<double>(ns) / 1e6; }

void PrintJson(const measure::GeneratedText& generated) {
  const measure::Timing& timing = generated.timing;
  nlohmann::ordered_json out = {{"prompt_ids", generated.input_ids},
                                {"ids", generated.output_ids},
                                {"text", generated.text},
                                {"stopped", generated.stopped},
                                {"tokenize_ms", Milliseconds(timing.tokenize_ns)},
                                {"prefill_ms", Milliseconds(timing.prefill_ns)},
                                {"decode_ms", Milliseconds(timing.decode_ns)},
                                {"detokenize_ms", Milliseconds(timing.detokenize_ns)},
                                {"end_to_end_ms", Milliseconds(timing.latency_ns)}};
  std::cout << out.dump() << std::endl;
}

void PrintText(const measure::GeneratedText& generated) {
  const measure::Timing& timing = generated.timing;
  std::cout << generated.text << std::endl;
  const double decode_s = static_cast<double>(timing.decode_ns) / 1e9;
  std::cerr << absl::StrFormat("%d tokens in, %d out%s; prefill %.1f ms, decode %.1f ms", timing.input_tokens,
                               timing.output_tokens, generated.stopped ? " (ended by itself)" : "",
                               Milliseconds(timing.prefill_ns), Milliseconds(timing.decode_ns));
  if (timing.output_tokens > 1) std::cerr << absl::StrFormat(" (%.1f tokens/s)", (timing.output_tokens - 1) / decode_s);
  std::cerr << std::endl;
}

absl::Status Generate(const Options& options) {
  // A model with a begin token would make something up from that alone.
  if (options.prompt.empty()) {
    return absl::InvalidArgumentError("the prompt is empty: expected text after --prompt or --chat");
  }
  auto path = Resolve(options.model);
  if (!path.ok()) return path.status();
  auto opened = evaluate::OpenModel::Open(*path);
  if (!opened.ok()) return opened.status();
  const evaluate::OpenModel& model = **opened;
  measure::Prompt prompt;
  prompt.text = options.prompt;
  // Before the weights are loaded: a prompt that cannot be fed needs none.
  auto ids = model.Encode(prompt, options.chat);
  if (!ids.ok()) return ids.status();
  auto engine = LoadEngine(model, options.variant, options.model.folder, options.compute, options.calibration,
                           static_cast<int64_t>(ids->size()) + options.max_tokens);
  if (!engine.ok()) return engine.status();

  measure::GenerationRequest request;
  request.chat = options.chat;
  request.max_output_tokens = options.max_tokens;
  request.output_tokens = options.ignore_end ? options.max_tokens : 0;
  evaluate::EngineTextModel text_model(model, **engine);
  measure::SteadyClock clock;
  auto generated = measure::TimeGeneration(text_model, clock, prompt, request);
  if (!generated.ok()) return generated.status();
  options.json ? PrintJson(*generated) : PrintText(*generated);
  return absl::OkStatus();
}

}  // namespace

void AddGenerate(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();  // shared by the parser's callbacks and the run
  CLI::App* command = app.add_subcommand("generate", "Generates one answer, greedily, and times it");
  AddModelOption(*command, options->model);
  command->add_option("--variant", options->variant, "variant to load (default: fp16)");
  CLI::Option* prompt = command->add_option("--prompt", options->prompt, "the prompt, verbatim");
  CLI::Option* chat = command->add_option_function<std::vector<std::string>>(
      "--chat",
      [options, prompt](const std::vector<std::string>& text) {
        options->chat = true;
        if (!text.empty() && prompt->empty()) options->prompt = text.front();
      },
      "render the prompt, or TEXT, as one user turn of the model's chat template");
  chat->expected(0, 1)->type_name("[TEXT]");
  command->add_option("--max-tokens", options->max_tokens, "most tokens to emit (default: 128)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--ignore-end", options->ignore_end, "go on after an end token: emit exactly --max-tokens");
  AddComputeOptions(*command, options->compute);
  AddCalibrationTextOption(*command, options->calibration.text);
  AddArtifactsOption(*command, options->calibration.artifacts);
  AddOutputOption(*command, options->json);
  AddExample(*command, "uaqf-worker generate smollm2-135m-instruct --variant rtn-w4-g64 --chat \"What is a lease?\"");
  command->callback([options, prompt, chat, &run] {
    if (prompt->empty() && chat->empty()) throw CLI::RequiredError("--prompt or --chat");
    run = [options] { return Generate(*options); };
  });
}

}  // namespace uaqf::commands
