// uaqf-slowed-worker: a worker whose variants are fp16, and fp16 that is slower by a known share.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"
#include "tests/bench/slowed_worker/slowed_evaluator.h"
#include "worker/commands/device.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/engine_evaluator.h"
#include "worker/link/host.h"
#include "worker/link/stop_signal.h"
#include "worker/measure/clock.h"
#include "worker/measure/cpu_set.h"
#include "worker/measure/device_lock.h"

namespace {

using namespace uaqf;

struct Options {
  std::string server = "127.0.0.1:7601";
  std::string worker_name = "slowed";
  std::string models;
  std::string cpus;
  std::string device = "cpu";
  double slowdown = 0.02;
  double max_foreign_load = 0.25;
};

absl::StatusOr<std::vector<v1::ModelInfo>> Describe(const std::string& folder) {
  auto paths = evaluate::FindModels(folder);
  if (!paths.ok()) return paths.status();
  paths->merge(evaluate::SyntheticModels());
  std::vector<v1::ModelInfo> models;
  for (const auto& [id, path] : *paths) {
    const auto entry = evaluate::DescribeModel(id, path);
    if (!entry.ok()) return entry.status();
    v1::ModelInfo& model = models.emplace_back();
    model.set_model(id);
    model.set_digest(entry->digest);
    model.set_architecture(entry->architecture);
    model.set_parameters(entry->parameters);
    model.set_context_tokens(entry->context_tokens);
    for (const char* name : {"fp16", test::kSlowedVariant}) {
      v1::VariantInfo& variant = *model.add_variants();
      variant.set_variant(name);
      variant.set_fits(true);
    }
  }
  return models;
}

absl::Status Serve(const Options& options) {
  auto stop = link::StopSignal::Create();
  if (!stop.ok()) return stop.status();
  const auto cpus = options.cpus.empty() ? absl::StatusOr<std::vector<int>>(measure::AvailableCpus())
                                         : measure::ParseCpuList(options.cpus);
  if (!cpus.ok()) return cpus.status();
  if (absl::Status confined = measure::ConfineToCpus(*cpus); !confined.ok()) return confined;
  measure::SteadyClock clock;
  const auto device = commands::OpenDevice(options.device, *cpus, options.max_foreign_load, &clock);
  if (!device.ok()) return device.status();
  measure::DeviceMonitor& monitor = *device->monitor;
  evaluate::EngineEvaluator engine({.models = options.models,
                                    .device = options.device,
                                    .threads = static_cast<int>(cpus->size()),
                                    .cpu_set = *cpus,
                                    .synthetic = true},
                                   &clock);
  test::SlowedEvaluator evaluator(&engine, &clock, options.slowdown);
  auto lock = measure::DeviceLock::Open(measure::RunFolder(), monitor.device().id);
  if (!lock.ok()) return lock.status();
  auto models = Describe(options.models);
  if (!models.ok()) return models.status();
  wire::Security security;
  security.insecure_dev = true;
  auto host = link::Host::Create(
      {options.server, security, options.worker_name, "slowed", {&evaluator, &monitor, lock->get(), &clock}},
      [&stop] { (*stop)->Raise(); });
  if (!host.ok()) return host.status();
  (*host)->SetModels(*std::move(models));
  (*host)->Start();
  (*stop)->Wait();
  if (absl::Status failure = (*host)->failure(); !failure.ok()) return failure;
  return (*host)->Drain(absl::Seconds(30)) ? absl::OkStatus() : absl::DeadlineExceededError("stopped at work");
}

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("slowed-worker"));
  Options options;
  CLI::App app("A worker with fp16 and a slowed fp16, to try what a job finds", "uaqf-slowed-worker");
  app.add_option("--server", options.server, "the coordinator's worker port, without TLS");
  app.add_option("--worker-name", options.worker_name, "unique name");
  app.add_option("--models", options.models, "folder of models")->required();
  app.add_option("--cpus", options.cpus, "processors, e.g. 0-1 (default: all); workers of one list take turns");
  app.add_option("--device", options.device, "cpu, or cuda:N (default: cpu)");
  app.add_option("--slowdown", options.slowdown, "share by which fp16-slowed takes longer (default: 0.02)");
  app.add_option("--max-foreign-load", options.max_foreign_load, "as of uaqf-worker serve");
  CLI11_PARSE(app, argc, argv);
  const absl::Status served = Serve(options);
  if (!served.ok()) spdlog::error("{}", served.ToString());
  return served.ok() ? 0 : 1;
}
