#include "tests/server/rpc/test_server.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "proto/wire/channel.h"
#include "proto/wire/status.h"
#include "tests/support/test_data.h"

namespace uaqf::test {

v1::RankVariantsRequest RankingBySpeed(const std::string& job) {
  v1::RankVariantsRequest rank;
  rank.set_job(job);
  v1::Profile& profile = *rank.mutable_inline_profile();
  profile.set_formula(v1::UTILITY_FORMULA_FULL);
  profile.set_normalization(v1::NORMALIZATION_BASELINE);
  profile.mutable_weights()->set_speed(1);
  return rank;
}

std::unique_ptr<grpc::ClientContext> Within30s() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  return context;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

rpc::ServerOptions TestServer::Options() {
  rpc::ServerOptions options;
  options.listen = options.worker_listen = options.metrics = "127.0.0.1:0";
  options.security.insecure_dev = true;
  options.figures_period = absl::Milliseconds(50);
  options.workers_return = absl::ZeroDuration();
  return options;
}

TestServer::TestServer(rpc::ServerOptions options) : options_(std::move(options)), path_(ScratchFolder() + "/uaqf.db") {
  Start();
}

TestServer::~TestServer() { Stop(); }

void TestServer::Start() {
  auto store = store::OpenSqliteStore({.path = path_});
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
  auto server = rpc::Server::Start(options_, wrap ? wrap(store_.get()) : store_.get());
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  if (!options_.security.insecure_dev) return;  // the test dials by itself
  client_channel_ = *wire::Dial(server_->listen(), {});
  worker_channel_ = *wire::Dial(server_->worker_listen(), {});
  evaluation_ = v1::EvaluationService::NewStub(client_channel_);
  ranking_ = v1::RankingService::NewStub(client_channel_);
}

void TestServer::Stop(absl::Duration grace) {
  if (server_ != nullptr) server_->Stop(grace);
  server_.reset();
  store_.reset();
}

void TestServer::Restart() {
  Stop();
  Start();
}

std::string TestServer::Upload(int count, v1::PromptSetKind kind) {
  auto context = Within30s();
  v1::PromptSet set;
  auto writer = evaluation_->CreatePromptSet(context.get(), &set);
  v1::CreatePromptSetRequest request;
  request.mutable_header()->set_kind(kind);
  writer->Write(request);
  for (int i = 0; i < count; ++i) {
    v1::Prompt& prompt = *request.mutable_items()->add_prompts();
    prompt.set_id(absl::StrCat("p", i));
    prompt.set_text(absl::StrCat("text of item ", i));
    prompt.set_category(kind == v1::PROMPT_SET_KIND_PROMPTS ? (i % 2 == 0 ? "even" : "odd") : "");
  }
  writer->Write(request);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return set.name();
}

v1::CreateJobRequest TestServer::Request(const std::string& request_id, int prompts) {
  v1::CreateJobRequest request;
  request.set_request_id(request_id);
  v1::JobSpec& spec = *request.mutable_spec();
  spec.set_model("m");
  spec.add_variants("fp16");
  spec.add_variants("rtn-w4");
  spec.set_prompt_set(Upload(prompts));
  spec.mutable_timing()->set_repeats(2);
  spec.mutable_timing()->set_block_prompts(2);
  spec.mutable_timing()->set_max_output_tokens(8);
  spec.mutable_timing()->set_output_length(v1::OUTPUT_LENGTH_FIXED);
  spec.set_noise_floor(false);
  return request;
}

absl::StatusOr<v1::Job> TestServer::Create(const v1::CreateJobRequest& request) {
  v1::Job job;
  const absl::Status status = wire::FromGrpc(evaluation_->CreateJob(Within30s().get(), request, &job));
  return status.ok() ? absl::StatusOr<v1::Job>(job) : status;
}

absl::StatusOr<v1::Job> TestServer::Get(const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(name);
  v1::Job job;
  const absl::Status status = wire::FromGrpc(evaluation_->GetJob(Within30s().get(), request, &job));
  return status.ok() ? absl::StatusOr<v1::Job>(job) : status;
}

absl::StatusOr<v1::Job> TestServer::Cancel(const std::string& name) {
  v1::CancelJobRequest request;
  request.set_name(name);
  request.set_request_id("cancel");
  v1::Job job;
  const absl::Status status = wire::FromGrpc(evaluation_->CancelJob(Within30s().get(), request, &job));
  return status.ok() ? absl::StatusOr<v1::Job>(job) : status;
}

std::vector<v1::StoredRecord> TestServer::Records(const std::string& job, int page) {
  std::vector<v1::StoredRecord> records;
  v1::ListRecordsRequest request;
  request.set_job(job);
  request.set_page_size(page);
  do {
    v1::ListRecordsResponse response;
    const grpc::Status status = evaluation_->ListRecords(Within30s().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_LE(response.records_size(), page);
    if (!status.ok()) break;
    records.insert(records.end(), response.records().begin(), response.records().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return records;
}

bool TestServer::Serving(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  // grpc.health.v1 by hand: HealthCheckRequest.service = 1; HealthCheckResponse.status = 1, SERVING = 1.
  std::string request_bytes("\x0a");
  request_bytes.push_back(static_cast<char>(service.size()));
  request_bytes.append(service);
  const grpc::Slice slice(request_bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  auto context = Within30s();
  grpc::ByteBuffer response;
  grpc::Status status;
  auto call = stub.PrepareUnaryCall(context.get(), "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  EXPECT_TRUE(status.ok()) << service << ": " << status.error_message();
  grpc::Slice answer;
  if (!status.ok() || !response.DumpToSingleSlice(&answer).ok()) return false;
  return answer.size() == 2 && answer.begin()[0] == 0x08 && answer.begin()[1] == 0x01;
}

}  // namespace uaqf::test
