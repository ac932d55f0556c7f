// The coordinator as a whole: two ports, the loop, /metrics, and the order in which they start and stop.
#pragma once

#include <grpcpp/server.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/wire/credentials.h"
#include "server/metrics/exposition.h"
#include "server/rpc/context.h"
#include "server/rpc/evaluation_service.h"
#include "server/rpc/job_figures.h"
#include "server/rpc/ranking_service.h"
#include "server/rpc/worker_service.h"

namespace uaqf::rpc {

struct ServerOptions {
  // HOST:PORT each; port 0 takes a free one.
  std::string listen = "127.0.0.1:7600";
  std::string worker_listen = "127.0.0.1:7601";
  std::string metrics = "127.0.0.1:9464";
  wire::Security security;
  Limits limits;
  core::SchedulerOptions scheduler;
  absl::Duration figures_period = absl::Seconds(2);
  // How long after the start workers may still be coming back.
  absl::Duration workers_return = absl::Seconds(5);
};

class Server {
 public:
  // Serves `store`, which is borrowed. Errors: those of wire::ServerCredentials; UNAVAILABLE for an address that cannot
  // be bound; those of the store.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, store::Store* store);
  // Stops without grace.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The addresses with the ports that were taken.
  const std::string& listen() const { return listen_; }
  const std::string& worker_listen() const { return worker_listen_; }
  const std::string& metrics_address() const { return exposition_->address(); }
  metrics::Metrics& metrics() { return metrics_; }
  Coordinator& coordinator() { return *coordinator_; }

  // Graceful stop: health says NOT_SERVING, no lease is given, workers are told to drain and get `grace` to finish what
  // they run; then every stream ends with UNAVAILABLE. Returns when all threads are joined. Idempotent.
  void Stop(absl::Duration grace);

 private:
  Server(const ServerOptions& options, store::Store* store);

  absl::Status Open(const ServerOptions& options);
  absl::StatusOr<std::unique_ptr<grpc::Server>> Listen(const std::string& address, const wire::Security& security,
                                                       wire::Peer peer, std::string* bound);
  void SetServing(bool serving) ABSL_LOCKS_EXCLUDED(health_mutex_);
  // Looks, on the executor, at what a finished round of a job has decided.
  void DecideLater(Coordinator& coordinator, const core::JobId& id);

  // Bottom-up: each needs only those before it.
  metrics::Metrics metrics_;
  JobBoard board_;
  StreamRegistry streams_;
  Measurer measurer_;
  Executor executor_;
  ServiceContext context_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<EvaluationService> evaluation_;
  std::unique_ptr<RankingService> ranking_;
  std::unique_ptr<WorkerService> worker_;
  std::unique_ptr<JobFiguresPublisher> figures_;
  std::unique_ptr<metrics::Exposition> exposition_;

  absl::Mutex health_mutex_;
  bool serving_ ABSL_GUARDED_BY(health_mutex_) = false;
  // Set in Open before anybody else sees them; guarded for the loop, which sets the health.
  std::unique_ptr<grpc::Server> client_server_ ABSL_GUARDED_BY(health_mutex_);
  std::unique_ptr<grpc::Server> worker_server_ ABSL_GUARDED_BY(health_mutex_);
  std::string listen_;
  std::string worker_listen_;
  bool stopped_ = false;
};

}  // namespace uaqf::rpc
