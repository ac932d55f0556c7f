#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "proto/wire/channel.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "proto/wire/version.h"
#include "server/rpc/decide_round.h"

namespace uaqf::rpc {
namespace {

constexpr int kExecutorThreads = 2;
constexpr std::size_t kExecutorTasks = 1024;
constexpr std::size_t kMemoryBytes = 256u << 20;

// Reflection tells a stranger everything: on the client port only. The library adds its plugin to every builder.
class Reflection final : public grpc::ServerBuilderOption {
 public:
  explicit Reflection(bool on) : on_(on) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto plugin = std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    plugins->erase(std::remove_if(plugins->begin(), plugins->end(),
                                  [&](const auto& other) { return other->name() == plugin->name(); }),
                   plugins->end());
    if (on_) plugins->push_back(std::move(plugin));
  }

 private:
  const bool on_;
};

// Lets only certificates of the worker role in, before any handler.
class WorkerRole final : public grpc::AuthMetadataProcessor {
 public:
  explicit WorkerRole(metrics::Metrics* metrics) : metrics_(metrics) {}
  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata&, grpc::AuthContext* peer, OutputMetadata*, OutputMetadata*) override {
    if (wire::MayBeWorker(*peer, "")) return grpc::Status::OK;
    metrics_->CountRefusedRole();
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                        "got a certificate without the role uaqf://worker/..., expected a worker's");
  }

 private:
  metrics::Metrics* const metrics_;
};

}  // namespace

Server::Server(const ServerOptions& options, store::Store* store)
    : metrics_(wire::Version()),
      board_(options.limits.watchers),
      measurer_(store),
      executor_(kExecutorThreads, kExecutorTasks) {
  context_.limits = options.limits;
  context_.store = store;
  context_.board = &board_;
  context_.executor = &executor_;
  context_.metrics = &metrics_;
  context_.streams = &streams_;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, store::Store* store) {
  std::unique_ptr<Server> server(new Server(options, store));
  if (absl::Status opened = server->Open(options); !opened.ok()) return opened;
  return server;
}

absl::Status Server::Open(const ServerOptions& options) {
  Coordinator::Options loop;
  loop.limits = options.limits.job;
  loop.scheduler = options.scheduler;
  loop.workers_return_ns = absl::ToInt64Nanoseconds(options.workers_return);
  auto coordinator = Coordinator::Create(
      loop, context_.store, &board_, &metrics_, [this](bool serving) { SetServing(serving); },
      [this](Coordinator& told, const core::JobId& id) { DecideLater(told, id); });
  if (!coordinator.ok()) return coordinator.status();
  coordinator_ = *std::move(coordinator);
  context_.coordinator = coordinator_.get();
  evaluation_ = std::make_unique<EvaluationService>(context_);
  ranking_ = std::make_unique<RankingService>(context_, &measurer_);
  worker_ = std::make_unique<WorkerService>(context_);

  // Its page has no TLS and no password.
  if (options.security.insecure_dev && !wire::IsLoopback(options.metrics)) {
    return wire::Error(absl::StatusCode::kInvalidArgument, "INSECURE_OFF_LOOPBACK",
                       absl::StrCat("got --metrics ", options.metrics,
                                    " with --insecure-dev, expected a loopback address such as 127.0.0.1:9464"));
  }
  auto exposition = metrics::Exposition::Start(options.metrics, metrics_);
  if (!exposition.ok()) return exposition.status();
  exposition_ = *std::move(exposition);
  grpc::EnableDefaultHealthCheckService(true);
  auto client = Listen(options.listen, options.security, wire::Peer::kClient, &listen_);
  if (!client.ok()) return client.status();
  auto worker = Listen(options.worker_listen, options.security, wire::Peer::kWorker, &worker_listen_);
  if (!worker.ok()) {
    (*client)->Shutdown(std::chrono::system_clock::now());
    return worker.status();
  }
  bool serving = false;
  {
    absl::MutexLock lock(&health_mutex_);
    client_server_ = *std::move(client);
    worker_server_ = *std::move(worker);
    serving = serving_;
  }
  SetServing(serving);
  figures_ =
      std::make_unique<JobFiguresPublisher>(context_.store, &measurer_, &board_, &metrics_, options.figures_period);
  return absl::OkStatus();
}

void Server::DecideLater(Coordinator& coordinator, const core::JobId& id) {
  const bool posted = executor_.Post([this, &coordinator, id] {
    auto decision = DecideRound(context_.store, &measurer_, id);
    if (!decision.ok()) {
      spdlog::warn("{}: a round could not be looked at, all variants go on: {}", wire::JobName(id),
                   decision.status().ToString());
      return;
    }
    if (decision->decided.empty() && decision->stop.empty()) return;
    coordinator.StopMeasuring(id, std::move(decision->stop), std::move(decision->decided));
  });
  // What this round would have decided, the next one does.
  if (!posted) spdlog::warn("{}: a round is not looked at, too much waits", wire::JobName(id));
}

absl::StatusOr<std::unique_ptr<grpc::Server>> Server::Listen(const std::string& address, const wire::Security& security,
                                                             wire::Peer peer, std::string* bound) {
  auto credentials = wire::ServerCredentials(security, address, peer);
  if (!credentials.ok()) return credentials.status();
  grpc::ServerBuilder builder;
  wire::ConfigureServer(builder);
  grpc::ResourceQuota quota("uaqf");
  builder.SetResourceQuota(quota.Resize(kMemoryBytes));
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetOption(std::make_unique<Reflection>(peer == wire::Peer::kClient));
  if (peer == wire::Peer::kWorker) {
    if (security.UsesTls()) (*credentials)->SetAuthMetadataProcessor(std::make_shared<WorkerRole>(&metrics_));
    builder.RegisterService(worker_.get());
  } else {
    builder.RegisterService(evaluation_.get());
    builder.RegisterService(ranking_.get());
  }
  int port = 0;
  builder.AddListeningPort(address, *credentials, &port);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return wire::Error(absl::StatusCode::kUnavailable, "CANNOT_LISTEN",
                       absl::StrCat("cannot listen on ", address,
                                    ": the port is in use, or it is no address of this "
                                    "machine; choose another with ",
                                    peer == wire::Peer::kClient ? "--listen" : "--worker-listen", " HOST:PORT"));
  }
  *bound = absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
  return server;
}

void Server::SetServing(bool serving) {
  absl::MutexLock lock(&health_mutex_);
  serving_ = serving;
  if (client_server_ == nullptr || worker_server_ == nullptr) return;
  grpc::HealthCheckServiceInterface* client = client_server_->GetHealthCheckService();
  client->SetServingStatus("", serving);
  client->SetServingStatus(v1::EvaluationService::service_full_name(), serving);
  client->SetServingStatus(v1::RankingService::service_full_name(), serving);
  grpc::HealthCheckServiceInterface* worker = worker_server_->GetHealthCheckService();
  worker->SetServingStatus("", serving);
  worker->SetServingStatus(v1::WorkerService::service_full_name(), serving);
}

void Server::Stop(absl::Duration grace) {
  if (std::exchange(stopped_, true)) return;
  if (coordinator_ != nullptr && grace > absl::ZeroDuration()) {
    auto drained = std::make_shared<absl::Notification>();
    coordinator_->Drain([drained] { drained->Notify(); });
    drained->WaitForNotificationWithTimeout(grace);
  }
  SetServing(false);
  streams_.EndAll(wire::Error(absl::StatusCode::kUnavailable, "STOPPING", "the coordinator stops; connect again"));
  std::unique_ptr<grpc::Server> client, worker;
  {
    absl::MutexLock lock(&health_mutex_);
    client = std::move(client_server_);
    worker = std::move(worker_server_);
  }
  // A stream that is still open is cancelled at the deadline, and finishes in OnCancel.
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(2);
  for (auto* server : {client.get(), worker.get()}) {
    if (server != nullptr) server->Shutdown(deadline);
  }
  if (figures_ != nullptr) figures_->Stop();
  if (coordinator_ != nullptr) coordinator_->Stop();
  executor_.Stop();
}

Server::~Server() { Stop(absl::ZeroDuration()); }

}  // namespace uaqf::rpc
