// uaqf-worker bench: speed of several variants on this device, and how close decoding comes to the limit that memory
// bandwidth sets: tokens/s <= read bandwidth / bytes read for a token.
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "kernels/bandwidth.h"
#include "kernels/thread_pool.h"
#include "worker/commands/command.h"
#include "worker/commands/hosted_model.h"
#include "worker/measure/clock.h"
#include "worker/measure/cpu_monitor.h"
#include "worker/measure/generation.h"

namespace uaqf::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelOption model;
  ComputeOptions compute;
  std::vector<std::string> variants;
  int input_tokens = 128;
  int output_tokens = 128;
  int repeats = 5;
  bool json = false;
};

// One variant under test, and what was seen of it.
struct Subject {
  std::string variant;
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<evaluate::EngineTextModel> text_model;
  std::vector<double> prefill_ms, decode_tokens_per_s, end_to_end_ms, read_gbps;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

absl::StatusOr<std::vector<Subject>> LoadAll(const Options& options, const evaluate::OpenModel& model) {
  std::vector<Subject> subjects;
  for (const std::string& variant : options.variants) {
    auto engine = LoadEngine(model, variant, options.compute, options.input_tokens + options.output_tokens);
    if (!engine.ok()) return engine.status();
    Subject& subject = subjects.emplace_back();
    subject.variant = variant;
    subject.engine = *std::move(engine);
    subject.text_model = std::make_unique<evaluate::EngineTextModel>(model, *subject.engine);
  }
  return subjects;
}

absl::StatusOr<measure::Timing> TimeOnce(const Options& options, Subject& subject) {
  measure::Prompt prompt;
  prompt.text = "Go on with this story.";
  measure::GenerationRequest request;
  request.input_tokens = options.input_tokens;
  request.output_tokens = options.output_tokens;
  measure::SteadyClock clock;
  auto generated = measure::TimeGeneration(*subject.text_model, clock, prompt, request);
  if (!generated.ok()) return generated.status();
  return std::move(generated->timing);
}

// A generation, then the bandwidth of a buffer as large as this variant's weights: small models partly live in the
// last-level cache, and the limit has to be that of the same working set.
absl::Status MeasureOnce(const Options& options, kernels::ThreadPool& pool, Subject& subject) {
  auto timing = TimeOnce(options, subject);
  if (!timing.ok()) return timing.status();
  subject.prefill_ms.push_back(static_cast<double>(timing->prefill_ns) / 1e6);
  subject.end_to_end_ms.push_back(static_cast<double>(timing->latency_ns) / 1e6);
  subject.decode_tokens_per_s.push_back((timing->output_tokens - 1) / (static_cast<double>(timing->decode_ns) / 1e9));
  subject.read_gbps.push_back(kernels::MeasureReadGbps(subject.engine->memory().weights_bytes, 5, pool));
  return absl::OkStatus();
}

Json Figures(const Options& options, const Subject& subject) {
  const double read_gbps = Median(subject.read_gbps);
  const int64_t bytes = subject.engine->bytes_per_token(options.input_tokens + options.output_tokens / 2);
  const double speed = Median(subject.decode_tokens_per_s);
  return {{"variant", subject.variant},
          {"read_gbps", read_gbps},
          {"bytes_per_token", bytes},
          {"prefill_ms", Median(subject.prefill_ms)},
          {"decode_tokens_per_s", speed},
          {"end_to_end_ms", Median(subject.end_to_end_ms)},
          {"limit_ratio", speed * static_cast<double>(bytes) / (read_gbps * 1e9)},
          {"memory_bytes", subject.engine->memory().total()}};
}

void Print(const Json& out) {
  std::cout << absl::StrFormat("%s, %d threads; %d in, %d out, median of %d\n\n",
                               out["device"]["name"].get<std::string>(), out["device"]["threads"].get<int>(),
                               out["input_tokens"].get<int>(), out["output_tokens"].get<int>(),
                               out["repeats"].get<int>());
  std::cout << absl::StrFormat("%-16s %10s %10s %10s %9s %9s %6s %8s\n", "variant", "prefill ms", "decode t/s",
                               "total ms", "read GB/s", "MB/token", "limit", "MB");
  for (const Json& v : out["variants"]) {
    std::cout << absl::StrFormat("%-16s %10.1f %10.1f %10.1f %9.1f %9.1f %6.2f %8.0f\n",
                                 v["variant"].get<std::string>(), v["prefill_ms"].get<double>(),
                                 v["decode_tokens_per_s"].get<double>(), v["end_to_end_ms"].get<double>(),
                                 v["read_gbps"].get<double>(), v["bytes_per_token"].get<double>() / 1e6,
                                 v["limit_ratio"].get<double>(), v["memory_bytes"].get<double>() / 1e6);
  }
}

absl::Status Bench(const Options& options) {
  auto path = Resolve(options.model);
  if (!path.ok()) return path.status();
  auto model = evaluate::OpenModel::Open(*path);
  if (!model.ok()) return model.status();
  auto subjects = LoadAll(options, **model);
  if (!subjects.ok()) return subjects.status();
  auto cpus = ConfineTo(options.compute);
  if (!cpus.ok()) return cpus.status();
  auto pool = kernels::ThreadPool::Create(*cpus);
  if (!pool.ok()) return pool.status();
  for (Subject& subject : *subjects) {
    if (auto warm = TimeOnce(options, subject); !warm.ok()) return warm.status();
  }
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    // Each round begins with another variant, so that none always follows the same one.
    for (size_t i = 0; i < subjects->size(); ++i) {
      Subject& subject = (*subjects)[(i + static_cast<size_t>(repeat)) % subjects->size()];
      if (absl::Status done = MeasureOnce(options, **pool, subject); !done.ok()) return done;
    }
  }
  measure::SteadyClock clock;
  measure::CpuMonitorOptions watched;
  watched.cpus = *cpus;
  const measure::CpuMonitor monitor(watched, &clock);
  Json out = {{"device",
               {{"name", monitor.device().name},
                {"id", monitor.device().id},
                {"threads", subjects->front().engine->threads()},
                {"isa", subjects->front().engine->kernel_build()}}},
              {"model", (*model)->config().name},
              {"input_tokens", options.input_tokens},
              {"output_tokens", options.output_tokens},
              {"repeats", options.repeats},
              {"variants", Json::array()}};
  for (const Subject& subject : *subjects) out["variants"].push_back(Figures(options, subject));
  if (options.json) {
    // A model's name is that of its file, which need not be UTF-8.
    std::cout << out.dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
  } else {
    Print(out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddBench(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();  // shared by the parser's callbacks and the run
  CLI::App* command = app.add_subcommand("bench", "Compares the speed of variants on this device, in turn");
  AddModelOption(*command, options->model);
  command->add_option("--variants", options->variants, "names joined by commas")->required()->delimiter(',');
  command->add_option("--input-tokens", options->input_tokens, "exact input length (default: 128)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--output-tokens", options->output_tokens, "exact output length (default: 128)")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--repeats", options->repeats, "rounds over the variants (default: 5)")
      ->check(CLI::Range(1, 1000));
  AddComputeOptions(*command, options->compute);
  AddOutputOption(*command, options->json);
  AddExample(*command,
             "uaqf-worker bench smollm2-135m-instruct --variants fp16,rtn-w8-channel --input-tokens 100 "
             "--output-tokens 128 --repeats 5");
  command->callback([options, &run] { run = [options] { return Bench(*options); }; });
}

}  // namespace uaqf::commands
