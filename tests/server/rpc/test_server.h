// A coordinator in this process with real sockets on free ports, its store in a scratch folder, and a client.
#pragma once

#include <grpcpp/channel.h>
#include <uaqf/v1/evaluation_service.grpc.pb.h>
#include <uaqf/v1/ranking_service.grpc.pb.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/rpc/server.h"
#include "server/store/sqlite_store.h"

namespace uaqf::test {

class TestServer {
 public:
  explicit TestServer(rpc::ServerOptions options = Options());
  ~TestServer();

  // Plain, free ports, gauges every 50 ms, no time for workers to come back.
  static rpc::ServerOptions Options();
  // Stops and starts again on the same store, on new ports.
  void Restart();
  void Stop(absl::Duration grace = absl::ZeroDuration());
  // Puts a wrapper between server and store on the next start.
  std::function<store::Store*(store::Store*)> wrap;

  rpc::Server& server() { return *server_; }
  store::Store& store() { return *store_; }
  std::shared_ptr<grpc::Channel> client_channel() { return client_channel_; }
  std::shared_ptr<grpc::Channel> worker_channel() { return worker_channel_; }
  v1::EvaluationService::Stub& evaluation() { return *evaluation_; }
  v1::RankingService::Stub& ranking() { return *ranking_; }

  // Uploads `count` prompts, or a text of as many pieces; its name.
  std::string Upload(int count, v1::PromptSetKind kind = v1::PROMPT_SET_KIND_PROMPTS);
  // fp16 and rtn-w4 on `prompts` prompts, R = 2, blocks of 2, FIXED 8 tokens, no noise floor.
  v1::CreateJobRequest Request(const std::string& request_id, int prompts = 4);
  absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request);
  absl::StatusOr<v1::Job> Get(const std::string& name);
  // Ends it; retries nothing.
  absl::StatusOr<v1::Job> Cancel(const std::string& name);
  // All accepted records, by pages of `page`.
  std::vector<v1::StoredRecord> Records(const std::string& job, int page = 7);
  // What the health service of a port says of `service`.
  static bool Serving(const std::shared_ptr<grpc::Channel>& channel, const std::string& service);

 private:
  void Start();

  rpc::ServerOptions options_;
  std::string path_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<grpc::Channel> client_channel_, worker_channel_;
  std::unique_ptr<v1::EvaluationService::Stub> evaluation_;
  std::unique_ptr<v1::RankingService::Stub> ranking_;
};

// By an inline profile that weighs speed alone, against fp16.
v1::RankVariantsRequest RankingBySpeed(const std::string& job);
// A context whose deadline is 30 s away.
std::unique_ptr<grpc::ClientContext> Within30s();
// Waits for `condition`, up to 20 s; false when it did not come.
bool Eventually(const std::function<bool()>& condition);

}  // namespace uaqf::test
