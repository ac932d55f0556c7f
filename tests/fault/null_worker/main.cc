// uaqf-null-worker: the worker's link and protocol over an evaluator that makes its figures up.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"
#include "tests/fault/null_worker/null_evaluator.h"
#include "worker/link/host.h"
#include "worker/link/stop_signal.h"
#include "worker/measure/clock.h"
#include "worker/measure/device_lock.h"

namespace {

struct Options {
  std::string server = "127.0.0.1:7601";
  std::string worker_name = "null-" + std::to_string(getpid());
  uaqf::wire::Security security;
  std::string device = "null";
  double delay_ms = 0;
  double drain_seconds = 10;
  std::string crash_on;
  std::vector<std::string> models = {"null"};
  std::vector<std::string> variants = {"fp16",        "rtn-w8",     "rtn-w4",     "rtn-w8-channel", "rtn-w4-channel",
                                       "rtn-w4-g128", "rtn-w4-g64", "rtn-w4-g32", "rtn-w8a8",       "rtn-w4a8"};
};

void Declare(CLI::App& app, Options& options) {
  app.add_option("--server", options.server, "the coordinator's worker port");
  app.add_option("--worker-name", options.worker_name, "unique name");
  app.add_flag("--insecure-dev", options.security.insecure_dev, "no TLS, loopback only");
  app.add_option("--tls-cert", options.security.tls.certificate, "certificate, PEM");
  app.add_option("--tls-key", options.security.tls.key, "its key, PEM");
  app.add_option("--tls-ca", options.security.tls.authority, "authority of the coordinator, PEM");
  app.add_option("--device", options.device, "id of the made-up device; workers of one id take turns");
  app.add_option("--delay-ms", options.delay_ms, "time that every item takes");
  app.add_option("--drain-seconds", options.drain_seconds, "longest time to finish what runs after SIGTERM");
  app.add_option("--crash-on", options.crash_on, "id of the prompt that kills the process");
  app.add_option("--models", options.models, "ids of the made-up models")->delimiter(',');
  app.add_option("--variants", options.variants, "names of the variants they offer")->delimiter(',');
}

std::vector<uaqf::v1::ModelInfo> Models(const Options& options) {
  std::vector<uaqf::v1::ModelInfo> models;
  for (const std::string& name : options.models) {
    uaqf::v1::ModelInfo& model = models.emplace_back();
    model.set_model(name);
    model.set_digest(std::string(64, '0'));
    model.set_architecture("null");
    model.set_parameters(100'000'000);
    model.set_context_tokens(8192);
    for (const std::string& variant : options.variants) {
      uaqf::v1::VariantInfo& info = *model.add_variants();
      info.set_variant(variant);
      info.set_description("made up");
      info.set_fits(true);
    }
  }
  return models;
}

int Run(const Options& options) {
  using namespace uaqf;
  auto stop = link::StopSignal::Create();
  measure::SteadyClock clock;
  test::NullMonitor monitor(options.device);
  test::NullEvaluator evaluator({absl::Milliseconds(options.delay_ms), options.crash_on});
  auto lock = measure::DeviceLock::Open(measure::RunFolder(), options.device);
  if (!stop.ok() || !lock.ok()) {
    spdlog::error("{}", (stop.ok() ? lock.status() : stop.status()).ToString());
    return 1;
  }
  auto host = link::Host::Create({options.server,
                                  options.security,
                                  options.worker_name,
                                  "null",
                                  {&evaluator, &monitor, lock->get(), &clock, absl::Milliseconds(300)}},
                                 [&stop] { (*stop)->Raise(); });
  if (!host.ok()) {
    spdlog::error("{}", host.status().ToString());
    return 2;
  }
  (*host)->SetModels(Models(options));
  (*host)->Start();
  spdlog::info("null worker {} on device {} for {}", options.worker_name, options.device, options.server);
  (*stop)->Wait();
  if (const absl::Status failure = (*host)->failure(); !failure.ok()) {
    spdlog::error("{}", failure.ToString());
    return 1;
  }
  return (*host)->Drain(absl::Seconds(options.drain_seconds)) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("null-worker"));
  Options options;
  CLI::App app("A worker that makes its figures up, for tests of the coordinator", "uaqf-null-worker");
  Declare(app, options);
  CLI11_PARSE(app, argc, argv);
  return Run(options);
}
