// uaqf-server: the coordinator.
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "proto/wire/version.h"
#include "server/flags.h"
#include "server/rpc/server.h"
#include "server/rpc/stop_signal.h"
#include "server/store/sqlite_store.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "error: %s\n", std::string(status.message()).c_str());
  if (absl::IsInvalidArgument(status)) return 2;
  return absl::IsUnavailable(status) ? 3 : 1;
}

// One line on standard output, for whoever started us with port 0.
void PrintAddresses(const uaqf::rpc::Server& server, const std::string& store) {
  const nlohmann::ordered_json line = {{"listen", server.listen()},
                                       {"worker_listen", server.worker_listen()},
                                       {"metrics", server.metrics_address()},
                                       {"store", store},
                                       {"version", uaqf::wire::Version()}};
  std::printf("%s\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

// Every connection is a descriptor, and the usual soft limit of 1024 is less than idle connections can fill.
void RaiseFileLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) spdlog::warn("cannot raise the limit of open files to {}", limit.rlim_max);
}

}  // namespace

int main(int argc, char** argv) {
  uaqf::ServerFlags flags;
  if (const int code = uaqf::ParseFlags(argc, argv, &flags); code >= 0) return code;
  // Standard output belongs to the address line.
  spdlog::set_default_logger(spdlog::stderr_color_mt("uaqf-server"));
  uaqf::rpc::StopSignal stop;
  signal(SIGPIPE, SIG_IGN);
  RaiseFileLimit();
  // Malformed messages and failed handshakes are answered, not printed: strangers do not write to our log.
  google::protobuf::SetLogHandler(nullptr);
  gpr_set_log_function([](gpr_log_func_args* line) { spdlog::debug("gRPC: {}", line->message); });

  // Only the default folder is ours to make; a named one that is missing is a mistake to be told.
  std::error_code ignored;
  if (flags.store == uaqf::ServerFlags::DefaultStore()) {
    std::filesystem::create_directories(std::filesystem::path(flags.store).parent_path(), ignored);
  }
  // A server that was told to stop holds its store for as long as its workers get.
  const auto wait = [&](const std::string& holder) { spdlog::warn("{} is held by {}: waiting", flags.store, holder); };
  auto store = uaqf::store::OpenSqliteStore({.path = flags.store, .lock_patience = flags.grace, .on_wait = wait});
  if (!store.ok()) return Fail(store.status());
  auto server = uaqf::rpc::Server::Start(flags.server, store->get());
  if (!server.ok()) return Fail(server.status());
  PrintAddresses(**server, flags.store);
  if (flags.server.security.insecure_dev) spdlog::warn("--insecure-dev: anybody on this machine may use this server");

  const int signal_number = stop.Wait();
  spdlog::info("signal {}: stopping, workers get {} s", signal_number, absl::ToDoubleSeconds(flags.grace));
  stop.AbortOnSecond(2 * flags.grace + absl::Seconds(5));
  (*server)->Stop(flags.grace);
  return 0;
}
