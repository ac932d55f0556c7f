// uaqf-worker bench: speed of several variants on this device, and how close decoding comes to the limit that memory
// bandwidth sets: tokens/s <= read bandwidth / bytes read for a token. On a GPU also how close prefill comes to the
// matrix peak, and what the host costs beside the device's own time.
#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "kernels/bandwidth.h"
#include "kernels/thread_pool.h"
#include "worker/commands/batch_speed.h"
#include "worker/commands/command.h"
#include "worker/commands/device.h"
#include "worker/commands/hosted_model.h"
#include "worker/evaluate/time_batch.h"
#include "worker/measure/clock.h"
#include "worker/measure/generation.h"

namespace uaqf::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelOption model;
  ComputeOptions compute;
  CalibrationOption calibration;
  std::vector<std::string> variants;
  int input_tokens = 128;
  int output_tokens = 128;
  int repeats = 5;
  std::vector<int64_t> batches;
  bool json = false;
};

// One variant under test, and what was seen of it.
struct Subject {
  std::string variant;
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<evaluate::EngineTextModel> text_model;
  std::vector<double> prefill_ms, decode_tokens_per_s, end_to_end_ms, read_gbps;
  // Digests of the outputs: one, where greedy decoding repeats bit by bit.
  std::set<std::string> outputs;
  // On a GPU: its own times of one more generation, and that generation's end to end.
  engine::DeviceTimes device_times;
  double timed_end_to_end_ms = 0;
  std::vector<BatchSpeed> batches;
};

// What the variants run on: a GPU has limits of its own, of a processor each variant's are measured beside it.
struct Bench {
  std::unique_ptr<measure::DeviceMonitor> monitor;
  std::unique_ptr<kernels::ThreadPool> pool;
  std::optional<GpuLimits> gpu;
  std::function<int64_t()> peak_memory_bytes;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

absl::StatusOr<std::vector<Subject>> LoadAll(const Options& options, const evaluate::OpenModel& model) {
  std::vector<Subject> subjects;
  int64_t max_batch = 1;
  for (const int64_t batch : options.batches) max_batch = std::max(max_batch, batch);
  for (const std::string& variant : options.variants) {
    auto engine = LoadEngine(model, variant, options.model.folder, options.compute, options.calibration,
                             options.input_tokens + options.output_tokens, max_batch);
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
absl::Status MeasureOnce(const Options& options, const Bench& bench, Subject& subject) {
  auto timing = TimeOnce(options, subject);
  if (!timing.ok()) return timing.status();
  subject.prefill_ms.push_back(static_cast<double>(timing->prefill_ns) / 1e6);
  subject.end_to_end_ms.push_back(static_cast<double>(timing->latency_ns) / 1e6);
  subject.decode_tokens_per_s.push_back((timing->output_tokens - 1) / (static_cast<double>(timing->decode_ns) / 1e9));
  subject.outputs.insert(timing->output_digest);
  subject.read_gbps.push_back(bench.gpu.has_value()
                                  ? bench.gpu->read_gbps
                                  : kernels::MeasureReadGbps(subject.engine->memory().weights_bytes, 5, *bench.pool));
  return absl::OkStatus();
}

// One more generation, with the device's own clock running.
absl::Status TimeDevice(const Options& options, Subject& subject) {
  subject.engine->TimeDevice(true);
  auto timing = TimeOnce(options, subject);
  if (!timing.ok()) return timing.status();
  subject.device_times = subject.engine->device_times();
  subject.timed_end_to_end_ms = static_cast<double>(timing->latency_ns) / 1e6;
  subject.engine->TimeDevice(false);
  return absl::OkStatus();
}

double StandardDeviation(const std::vector<double>& values) {
  double mean = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return values.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(values.size() - 1));
}

Json Figures(const Options& options, const Bench& bench, const model::ModelConfig& config, const Subject& subject) {
  const double read_gbps = Median(subject.read_gbps);
  const int64_t bytes = subject.engine->bytes_per_token(options.input_tokens + options.output_tokens / 2);
  const double speed = Median(subject.decode_tokens_per_s);
  const double prefill_ms = Median(subject.prefill_ms);
  Json out = {{"variant", subject.variant},
              {"read_gbps", read_gbps},
              {"bytes_per_token", bytes},
              {"limit_tokens_per_s", read_gbps * 1e9 / static_cast<double>(bytes)},
              {"prefill_ms", prefill_ms},
              {"decode_tokens_per_s", speed},
              {"end_to_end_ms", Median(subject.end_to_end_ms)},
              {"end_to_end_sd_ms", StandardDeviation(subject.end_to_end_ms)},
              {"limit_ratio", speed * static_cast<double>(bytes) / (read_gbps * 1e9)},
              {"memory_bytes", subject.engine->memory().total()},
              {"output_digests", subject.outputs}};
  for (const BatchSpeed& batch : subject.batches) {
    out["batches"].push_back({{"batch", batch.batch},
                              {"prefill_ms", static_cast<double>(batch.prefill_ns) / 1e6},
                              {"decode_tokens_per_s", batch.tokens_per_s},
                              {"of_batch_1", batch.tokens_per_s / speed},
                              {"outputs_repeat", batch.repeats}});
  }
  if (!bench.gpu.has_value()) return out;
  const double device_ms = static_cast<double>(subject.device_times.prefill_ns + subject.device_times.decode_ns) / 1e6;
  out["matrix_tflops"] = bench.gpu->matrix_tflops;
  out["prefill_ratio"] = evaluate::PrefillOperations(config, options.input_tokens) / (prefill_ms * 1e-3) /
                         (bench.gpu->matrix_tflops * 1e12);
  out["device_prefill_ms"] = static_cast<double>(subject.device_times.prefill_ns) / 1e6;
  out["device_decode_ms"] = static_cast<double>(subject.device_times.decode_ns) / 1e6;
  out["host_overhead"] = device_ms > 0 ? subject.timed_end_to_end_ms / device_ms - 1 : 0;
  return out;
}

void PrintBatches(const Json& out) {
  for (const Json& v : out["variants"]) {
    if (!v.contains("batches")) continue;
    for (const Json& b : v["batches"]) {
      std::cout << absl::StrFormat(
          "%-16s batch %2d %10.2f ms prefill %10.1f t/s, %.2f of batch 1%s\n", v["variant"].get<std::string>(),
          b["batch"].get<int>(), b["prefill_ms"].get<double>(), b["decode_tokens_per_s"].get<double>(),
          b["of_batch_1"].get<double>(), b["outputs_repeat"].get<bool>() ? "" : "  OUTPUTS DIFFER");
    }
  }
}

void Print(const Json& out) {
  const bool gpu = out.contains("matrix_tflops");
  std::cout << absl::StrFormat("%s, %d in, %d out, median of %d", out["device"]["name"].get<std::string>(),
                               out["input_tokens"].get<int>(), out["output_tokens"].get<int>(),
                               out["repeats"].get<int>());
  if (gpu) {
    std::cout << absl::StrFormat("; reads %.0f GB/s, multiplies %.0f TFLOP/s\n\n", out["read_gbps"].get<double>(),
                                 out["matrix_tflops"].get<double>());
  } else {
    std::cout << absl::StrFormat("; %d threads\n\n", out["device"]["threads"].get<int>());
  }
  std::cout << absl::StrFormat("%-16s %10s %10s %10s %9s %9s %6s %8s%s\n", "variant", "prefill ms", "decode t/s",
                               "total ms", "read GB/s", "MB/token", "limit", "MB", gpu ? "  prefill    host" : "");
  for (const Json& v : out["variants"]) {
    std::cout << absl::StrFormat("%-16s %10.2f %10.1f %10.1f %9.1f %9.1f %6.3f %8.0f", v["variant"].get<std::string>(),
                                 v["prefill_ms"].get<double>(), v["decode_tokens_per_s"].get<double>(),
                                 v["end_to_end_ms"].get<double>(), v["read_gbps"].get<double>(),
                                 v["bytes_per_token"].get<double>() / 1e6, v["limit_ratio"].get<double>(),
                                 v["memory_bytes"].get<double>() / 1e6);
    if (gpu) {
      std::cout << absl::StrFormat("  %7.3f %6.2f%%", v["prefill_ratio"].get<double>(),
                                   v["host_overhead"].get<double>() * 100);
    }
    if (v["output_digests"].size() > 1) std::cout << "  OUTPUTS DIFFER";
    std::cout << "\n";
  }
  PrintBatches(out);
  if (const int64_t held = out.value("device_memory_bytes", int64_t{0}); held > 0) {
    std::cout << absl::StrFormat("\nthe process held at most %.0f MB of the device's memory\n",
                                 static_cast<double>(held) / 1e6);
  }
}

absl::StatusOr<Bench> Prepare(const Options& options, measure::Clock* clock) {
  auto cpus = ConfineTo(options.compute);
  if (!cpus.ok()) return cpus.status();
  auto device = OpenDevice(options.compute.device, *cpus, /*max_foreign_load=*/1, clock);
  if (!device.ok()) return device.status();
  Bench bench;
  bench.monitor = std::move(device->monitor);
  bench.peak_memory_bytes = std::move(device->peak_memory_bytes);
  if (bench.monitor->device().backend == "cuda") {
    auto limits = MeasureGpuLimits(options.compute.device);
    if (!limits.ok()) return limits.status();
    bench.gpu = *limits;
    return bench;
  }
  auto pool = kernels::ThreadPool::Create(*cpus);
  if (!pool.ok()) return pool.status();
  bench.pool = *std::move(pool);
  return bench;
}

absl::Status MeasureAll(const Options& options, const Bench& bench, std::vector<Subject>& subjects) {
  for (Subject& subject : subjects) {
    if (auto warm = TimeOnce(options, subject); !warm.ok()) return warm.status();
  }
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    // Each round begins with another variant, so that none always follows the same one.
    for (size_t i = 0; i < subjects.size(); ++i) {
      Subject& subject = subjects[(i + static_cast<size_t>(repeat)) % subjects.size()];
      if (absl::Status done = MeasureOnce(options, bench, subject); !done.ok()) return done;
    }
  }
  if (!bench.gpu.has_value()) return absl::OkStatus();
  for (Subject& subject : subjects) {
    if (absl::Status done = TimeDevice(options, subject); !done.ok()) return done;
  }
  return absl::OkStatus();
}

absl::Status MeasureBatches(const Options& options, int64_t vocab, std::vector<Subject>& subjects,
                            measure::Clock& clock) {
  for (Subject& subject : subjects) {
    for (const int64_t batch : options.batches) {
      auto speed = MeasureBatch(*subject.engine, vocab, batch, options.input_tokens, options.output_tokens,
                                options.repeats, clock);
      if (!speed.ok()) return speed.status();
      subject.batches.push_back(*speed);
    }
  }
  return absl::OkStatus();
}

absl::Status RunBench(const Options& options) {
  auto path = Resolve(options.model);
  if (!path.ok()) return path.status();
  auto model = evaluate::OpenModel::Open(*path);
  if (!model.ok()) return model.status();
  measure::SteadyClock clock;
  // Before any variant is loaded: nothing else shall be on the device while its limits are measured.
  auto bench = Prepare(options, &clock);
  if (!bench.ok()) return bench.status();
  auto subjects = LoadAll(options, **model);
  if (!subjects.ok()) return subjects.status();
  if (absl::Status done = MeasureAll(options, *bench, *subjects); !done.ok()) return done;
  absl::Status batched = MeasureBatches(options, (*model)->config().vocab, *subjects, clock);
  if (!batched.ok()) return batched;
  const measure::Device& device = bench->monitor->device();
  Json out = {{"device",
               {{"name", device.name},
                {"id", device.id},
                {"threads", subjects->front().engine->threads()},
                {"isa", subjects->front().engine->kernel_build()},
                {"driver", device.driver}}},
              {"model", (*model)->config().name},
              {"input_tokens", options.input_tokens},
              {"output_tokens", options.output_tokens},
              {"repeats", options.repeats},
              {"variants", Json::array()}};
  if (bench->gpu.has_value()) {
    out["read_gbps"] = bench->gpu->read_gbps;
    out["matrix_tflops"] = bench->gpu->matrix_tflops;
    // Of the process, all variants in it; 0 where the driver does not tell.
    out["device_memory_bytes"] = bench->peak_memory_bytes();
  }
  for (const Subject& subject : *subjects) {
    out["variants"].push_back(Figures(options, *bench, (*model)->config(), subject));
  }
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
  command->add_option("--batch", options->batches, "also with so many sequences at once, sizes joined by commas")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{1}, engine::kMostBatch));
  AddComputeOptions(*command, options->compute);
  AddCalibrationTextOption(*command, options->calibration.text);
  AddArtifactsOption(*command, options->calibration.artifacts);
  AddOutputOption(*command, options->json);
  AddExample(*command,
             "uaqf-worker bench smollm2-135m-instruct --variants fp16,rtn-w8-channel --input-tokens 100 "
             "--output-tokens 128 --repeats 5");
  command->callback([options, &run] { run = [options] { return RunBench(*options); }; });
}

}  // namespace uaqf::commands
