// uaqf-worker serve: hosts variants for a coordinator.
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "proto/wire/version.h"
#include "spdlog/spdlog.h"
#include "worker/commands/command.h"
#include "worker/commands/device.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/engine_evaluator.h"
#include "worker/evaluate/hosted_variant.h"
#include "worker/link/host.h"
#include "worker/link/stop_signal.h"
#include "worker/measure/clock.h"
#include "worker/measure/cpu_set.h"
#include "worker/measure/device_lock.h"

namespace uaqf::commands {
namespace {

struct Options {
  std::string server = "127.0.0.1:7601";
  std::string models;
  bool synthetic = false;
  ComputeOptions compute;
  std::string artifacts;
  std::string worker_name;
  wire::Security security;
  double max_foreign_load = 0.25;
  double drain_seconds = 30;
};

// Longest wait for the models' digests before the coordinator hears of the worker.
constexpr absl::Duration kModelsPatience = absl::Seconds(5);

std::string DefaultWorkerName() {
  char host[256] = "worker";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "-", getpid());
}

// What scratch, libraries and driver take beside the weights, as a share of them and bytes: what the peak of a GPU's
// memory is allowed to have above what an engine counts.
constexpr double kBesideWeights = 0.03;
constexpr int64_t kBesideWeightsBytes = 700'000'000;

v1::ModelInfo ToProto(const evaluate::CatalogEntry& entry) {
  v1::ModelInfo model;
  model.set_model(entry.id);
  model.set_digest(entry.digest);
  model.set_architecture(entry.architecture);
  model.set_parameters(entry.parameters);
  model.set_context_tokens(entry.context_tokens);
  model.set_release_format(entry.release_format);
  for (const evaluate::VariantFit& fit : entry.variants) {
    v1::VariantInfo& variant = *model.add_variants();
    variant.set_variant(fit.variant);
    variant.set_description(fit.description);
    variant.set_fits(fit.reason.empty());
    variant.set_reason(fit.reason);
    variant.set_calibrated(fit.calibrated);
    variant.set_resident_bytes(static_cast<int64_t>((1 + kBesideWeights) * static_cast<double>(fit.weights_bytes)) +
                               kBesideWeightsBytes);
    variant.set_kv_bytes_per_token(fit.kv_bytes_per_token);
  }
  return model;
}

// A release is a variant of every model of its shape, so that each one found may add to those before it.
std::vector<v1::ModelInfo> ToProtos(const std::vector<evaluate::CatalogEntry>& entries) {
  std::vector<v1::ModelInfo> models;
  for (evaluate::CatalogEntry entry : entries) {
    for (evaluate::VariantFit& variant : evaluate::CheckpointVariants(entry, entries)) {
      entry.variants.push_back(std::move(variant));
    }
    models.push_back(ToProto(entry));
  }
  return models;
}

// Opens the models one after the other and announces each as soon as its digest is known.
class Announcer {
 public:
  Announcer(std::map<std::string, std::string> models, link::Host* host)
      : thread_([this, models = std::move(models), host] { Announce(models, host); }) {}
  ~Announcer() {
    stopping_ = true;
    thread_.join();
  }
  // Waits at most `patience` until all are announced.
  void Wait(absl::Duration patience) { done_.WaitForNotificationWithTimeout(patience); }

 private:
  void Announce(const std::map<std::string, std::string>& models, link::Host* host) {
    std::vector<evaluate::CatalogEntry> entries;
    for (const auto& [id, path] : models) {
      if (stopping_) break;
      auto entry = evaluate::DescribeModel(id, path);
      if (!entry.ok()) {
        spdlog::warn("left out {}: {}", path, std::string(entry.status().message()));
        continue;
      }
      entries.push_back(*std::move(entry));
      host->SetModels(ToProtos(entries));
    }
    spdlog::info("{} of {} models can be read", entries.size(), models.size());
    done_.Notify();
  }

  std::atomic<bool> stopping_{false};
  absl::Notification done_;
  std::thread thread_;
};

absl::Status Work(const Options& options, link::StopSignal& stop, const measure::ChunkDevice& device,
                  const std::map<std::string, std::string>& models) {
  auto host = link::Host::Create({options.server, options.security, options.worker_name, wire::Version(), device},
                                 [&stop] { stop.Raise(); });
  if (!host.ok()) return host.status();
  Announcer announcer(models, host->get());
  announcer.Wait(kModelsPatience);
  (*host)->Start();
  stop.Wait();
  if (absl::Status failure = (*host)->failure(); !failure.ok()) return failure;
  spdlog::info("stopping: finishing what runs, at most {} s", options.drain_seconds);
  if (!(*host)->Drain(absl::Seconds(options.drain_seconds))) spdlog::warn("stopped before everything was handed over");
  return absl::OkStatus();
}

absl::Status Serve(const Options& options) {
  const std::string folder = options.models.empty() ? evaluate::DefaultModelsFolder() : options.models;
  auto models = evaluate::FindModels(folder);
  if (!models.ok()) return models.status();
  auto stop = link::StopSignal::Create();
  if (!stop.ok()) return stop.status();
  auto cpus = ConfineTo(options.compute);
  if (!cpus.ok()) return cpus.status();
  measure::SteadyClock clock;
  auto device = OpenDevice(options.compute.device, *cpus, options.max_foreign_load, &clock);
  if (!device.ok()) return device.status();
  measure::DeviceMonitor& monitor = *device->monitor;
  evaluate::EngineEvaluator evaluator({folder,
                                       options.compute.device,
                                       static_cast<int>(cpus->size()),
                                       *cpus,
                                       options.synthetic,
                                       device->peak_memory_bytes,
                                       LimitsOf(options.compute.device, *cpus),
                                       {.folder = options.artifacts}},
                                      &clock);
  auto lock = measure::DeviceLock::Open(measure::RunFolder(), monitor.device().id);
  if (!lock.ok()) return lock.status();
  spdlog::info("uaqf-worker {} {}: {} ({}, {} threads, {}), {} models in {}, for the coordinator at {}",
               wire::Version(), options.worker_name, monitor.device().name, monitor.device().id,
               monitor.device().threads, monitor.device().isa, models->size(), folder, options.server);
  if (options.synthetic) models->merge(evaluate::SyntheticModels());
  return Work(options, **stop, {&evaluator, &monitor, lock->get(), &clock}, *models);
}

}  // namespace

void AddServe(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();  // shared by the parser's callbacks and the run
  options->worker_name = DefaultWorkerName();
  CLI::App* command = app.add_subcommand("serve", "Hosts variants for a coordinator, until SIGTERM");
  command->add_option("--server", options->server, "the coordinator's worker port (default: 127.0.0.1:7601)");
  command->add_option("--models", options->models,
                      "folder of models (default: $UAQF_MODELS, or what the set-up installed)");
  command->add_flag("--synthetic", options->synthetic,
                    "offer the synthetic models too (random weights, for speed and memory only)");
  AddComputeOptions(*command, options->compute);
  AddArtifactsOption(*command, options->artifacts);
  command->add_option("--worker-name", options->worker_name, "unique in the cluster (default: host and process id)");
  command->add_option("--tls-cert", options->security.tls.certificate, "certificate of this worker, PEM");
  command->add_option("--tls-key", options->security.tls.key, "its key, PEM");
  command->add_option("--tls-ca", options->security.tls.authority, "authority of the coordinator's certificate, PEM");
  command->add_flag("--insecure-dev", options->security.insecure_dev, "no TLS; loopback only");
  command
      ->add_option("--max-foreign-load", options->max_foreign_load,
                   "taint attempts beside more load of others, as a fraction of the CPUs (default: 0.25)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--drain-seconds", options->drain_seconds, "longest time to finish after SIGTERM (default: 30)")
      ->check(CLI::Range(0.0, 3600.0));
  AddExample(*command, "uaqf-worker serve --insecure-dev --server 127.0.0.1:7601 --models ~/models --device cpu");
  command->callback([options, &run] { run = [options] { return Serve(*options); }; });
}

}  // namespace uaqf::commands
