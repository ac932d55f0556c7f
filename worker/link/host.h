// A worker's link with its coordinator, put together: streams, board, runner and their two threads.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/wire/credentials.h"
#include "worker/link/board.h"
#include "worker/link/prompt_cache.h"
#include "worker/link/records.h"
#include "worker/link/runner.h"
#include "worker/link/session.h"
#include "worker/measure/chunk.h"

namespace uaqf::link {

struct HostOptions {
  // The coordinator's worker port, "HOST:PORT".
  std::string server;
  wire::Security security;
  // Unique in the cluster, without "workers/".
  std::string worker;
  std::string build;
  // Borrowed; used from the runner's thread only.
  measure::ChunkDevice device;
};

// Survives restarts of the coordinator. Owned and destroyed by the thread that made it.
class Host {
 public:
  // INVALID_ARGUMENT: a worker name or an address that is not one. `on_refused` is called, once and from another
  // thread, when the coordinator refuses the worker for good; failure() then says why.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Host>> Create(HostOptions options,
                                                                    std::function<void()> on_refused);
  // Stops at once.
  ~Host();

  // What the worker can read; may be called again when that changes.
  void SetModels(std::vector<v1::ModelInfo> models) { board_.SetModels(std::move(models)); }
  // Connects and begins to work.
  void Start();
  // Takes nothing new, gives back what was not begun, finishes the running chunk and waits for its verdict, at most
  // `grace`. False: the grace ended before that.
  [[nodiscard]] bool Drain(absl::Duration grace);
  // Why the coordinator refused; OK when it did not.
  absl::Status failure() const;

 private:
  Host(HostOptions options, std::shared_ptr<grpc::Channel> channel, std::function<void()> on_refused);

  void TendStreams();
  void Wake();

  const HostOptions options_;
  const std::function<void()> on_refused_;
  // In the order of need: streams use the stub, the stub the channel.
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;

  mutable absl::Mutex mutex_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);

  Board board_;
  Session session_;
  Records records_;
  PromptCache prompts_;
  Runner runner_;
  std::thread link_thread_;
  std::thread runner_thread_;
};

}  // namespace uaqf::link
