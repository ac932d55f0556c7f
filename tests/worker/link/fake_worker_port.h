// A coordinator in the test's own process: it answers every report with what the test wants, keeps what it hears, and
// can be stopped and started again on the same port.
#pragma once

#include <grpcpp/server.h>
#include <uaqf/v1/worker_service.grpc.pb.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace uaqf::test {

class FakeWorkerPort final : public v1::WorkerService::Service {
 public:
  // What becomes of a batch; nothing ends the record stream without an acknowledgement.
  using Judge = std::function<std::optional<v1::RecordVerdict>(const v1::RecordBatch&)>;

  FakeWorkerPort();
  ~FakeWorkerPort() override;

  std::string address() const;
  void Stop();
  // On the same port.
  void Start();

  // What is wanted from now on; sent at once to the worker that is connected.
  void Want(v1::DesiredState desired);
  void JudgeBy(Judge judge);
  // How a record stream ends for whose batch the judge says nothing; UNAVAILABLE at first.
  void EndRecordsWith(const grpc::Status& status);
  // Ends the session, and every later one, with this status.
  void RefuseSessions(const grpc::Status& status);
  void AddPrompts(const std::string& name, std::vector<v1::Prompt> prompts);
  // The next answers to summaries that are sent, before they are stored.
  void AnswerSummaries(std::vector<grpc::Status> answers);
  // The summaries that came, each with its header.
  std::vector<std::pair<v1::SummaryHeader, std::string>> summaries() const;

  // Checks `condition` now and whenever something was heard, until it holds; false after 20 s.
  bool Await(const std::function<bool()>& condition);
  v1::WorkerState last_state() const;
  std::vector<v1::WorkerState> states() const;
  std::vector<v1::RecordBatch> batches() const;
  int fetches() const;
  int record_streams() const;

 private:
  grpc::Status Session(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::DesiredState, v1::WorkerState>* stream) override;
  grpc::Status Records(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::RecordAck, v1::RecordBatch>* stream) override;
  grpc::Status FetchPrompts(grpc::ServerContext* context, const v1::FetchPromptsRequest* request,
                            grpc::ServerWriter<v1::PromptBatch>* writer) override;
  grpc::Status PutSummary(grpc::ServerContext* context, grpc::ServerReader<v1::SummaryPiece>* reader,
                          v1::PutSummaryResponse* response) override;
  grpc::Status FetchSummary(grpc::ServerContext* context, const v1::FetchSummaryRequest* request,
                            grpc::ServerWriter<v1::SummaryPiece>* writer) override;

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;

  mutable absl::Mutex mutex_;
  v1::DesiredState desired_ ABSL_GUARDED_BY(mutex_);
  Judge judge_ ABSL_GUARDED_BY(mutex_);
  grpc::Status records_end_ ABSL_GUARDED_BY(mutex_){grpc::StatusCode::UNAVAILABLE, "gone for a moment"};
  std::optional<grpc::Status> refusal_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::Prompt>> prompts_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::WorkerState> states_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::RecordBatch> batches_ ABSL_GUARDED_BY(mutex_);
  std::vector<grpc::Status> summary_answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<v1::SummaryHeader, std::string>> summaries_ ABSL_GUARDED_BY(mutex_);
  int fetches_ ABSL_GUARDED_BY(mutex_) = 0;
  int record_streams_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t heard_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::ServerReaderWriter<v1::DesiredState, v1::WorkerState>* session_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace uaqf::test
