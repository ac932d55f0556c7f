#include "tests/worker/link/fake_worker_port.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/wire/channel.h"

namespace uaqf::test {

FakeWorkerPort::FakeWorkerPort() {
  judge_ = [](const v1::RecordBatch&) { return v1::RECORD_VERDICT_STORED; };
  Start();
}

FakeWorkerPort::~FakeWorkerPort() { Stop(); }

std::string FakeWorkerPort::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeWorkerPort::Start() {
  grpc::ServerBuilder builder;
  wire::ConfigureServer(builder);
  builder.AddListeningPort(address(), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

void FakeWorkerPort::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

void FakeWorkerPort::Want(v1::DesiredState desired) {
  const absl::MutexLock lock(&mutex_);
  desired.mutable_next_report_in()->set_nanos(20'000'000);
  desired_ = std::move(desired);
  if (session_ != nullptr) session_->Write(desired_);
}

void FakeWorkerPort::JudgeBy(Judge judge) {
  const absl::MutexLock lock(&mutex_);
  judge_ = std::move(judge);
}

void FakeWorkerPort::RefuseSessions(const grpc::Status& status) {
  const absl::MutexLock lock(&mutex_);
  refusal_ = status;
}

void FakeWorkerPort::AddPrompts(const std::string& name, std::vector<v1::Prompt> prompts) {
  const absl::MutexLock lock(&mutex_);
  prompts_[name] = std::move(prompts);
}

void FakeWorkerPort::EndRecordsWith(const grpc::Status& status) {
  const absl::MutexLock lock(&mutex_);
  records_end_ = status;
}

bool FakeWorkerPort::Await(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (true) {
    int64_t seen = 0;
    {
      const absl::MutexLock lock(&mutex_);
      seen = heard_;
    }
    if (condition()) return true;
    const absl::MutexLock lock(&mutex_);
    const auto heard_more = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return heard_ != seen; };
    if (!mutex_.AwaitWithDeadline(absl::Condition(&heard_more), deadline)) return false;
  }
}

v1::WorkerState FakeWorkerPort::last_state() const {
  const absl::MutexLock lock(&mutex_);
  return states_.empty() ? v1::WorkerState() : states_.back();
}

std::vector<v1::WorkerState> FakeWorkerPort::states() const {
  const absl::MutexLock lock(&mutex_);
  return states_;
}

std::vector<v1::RecordBatch> FakeWorkerPort::batches() const {
  const absl::MutexLock lock(&mutex_);
  return batches_;
}

int FakeWorkerPort::fetches() const {
  const absl::MutexLock lock(&mutex_);
  return fetches_;
}

int FakeWorkerPort::record_streams() const {
  const absl::MutexLock lock(&mutex_);
  return record_streams_;
}

grpc::Status FakeWorkerPort::Session(grpc::ServerContext*,
                                     grpc::ServerReaderWriter<v1::DesiredState, v1::WorkerState>* stream) {
  v1::WorkerState state;
  while (stream->Read(&state)) {
    const absl::MutexLock lock(&mutex_);
    if (refusal_.has_value()) return *refusal_;
    session_ = stream;
    desired_.set_acknowledged_sequence(state.sequence());
    states_.push_back(std::move(state));
    ++heard_;
    stream->Write(desired_);
  }
  const absl::MutexLock lock(&mutex_);
  if (session_ == stream) session_ = nullptr;
  return grpc::Status::OK;
}

grpc::Status FakeWorkerPort::Records(grpc::ServerContext*,
                                     grpc::ServerReaderWriter<v1::RecordAck, v1::RecordBatch>* stream) {
  {
    const absl::MutexLock lock(&mutex_);
    ++record_streams_;
  }
  v1::RecordBatch batch;
  while (stream->Read(&batch)) {
    v1::RecordAck ack;
    *ack.mutable_attempt() = batch.attempt();
    ack.set_sequence(batch.sequence());
    std::optional<v1::RecordVerdict> verdict;
    {
      const absl::MutexLock lock(&mutex_);
      batches_.push_back(batch);
      ++heard_;
      verdict = judge_(batch);
    }
    if (!verdict.has_value()) {
      const absl::MutexLock lock(&mutex_);
      return records_end_;
    }
    ack.set_verdict(*verdict);
    stream->Write(ack);
  }
  return grpc::Status::OK;
}

grpc::Status FakeWorkerPort::FetchPrompts(grpc::ServerContext*, const v1::FetchPromptsRequest* request,
                                          grpc::ServerWriter<v1::PromptBatch>* writer) {
  const absl::MutexLock lock(&mutex_);
  ++fetches_;
  const auto found = prompts_.find(request->prompt_set());
  if (found == prompts_.end()) return {grpc::StatusCode::NOT_FOUND, "no such prompt set"};
  for (const v1::Prompt& prompt : found->second) {
    v1::PromptBatch batch;
    *batch.add_prompts() = prompt;
    writer->Write(batch);
  }
  return grpc::Status::OK;
}

void FakeWorkerPort::AnswerSummaries(std::vector<grpc::Status> answers) {
  const absl::MutexLock lock(&mutex_);
  summary_answers_ = std::move(answers);
}

std::vector<std::pair<v1::SummaryHeader, std::string>> FakeWorkerPort::summaries() const {
  const absl::MutexLock lock(&mutex_);
  return summaries_;
}

grpc::Status FakeWorkerPort::PutSummary(grpc::ServerContext*, grpc::ServerReader<v1::SummaryPiece>* reader,
                                        v1::PutSummaryResponse*) {
  v1::SummaryPiece piece;
  v1::SummaryHeader header;
  std::string bytes;
  while (reader->Read(&piece)) {
    if (piece.has_header()) header = piece.header();
    bytes += piece.data();
  }
  const absl::MutexLock lock(&mutex_);
  if (!summary_answers_.empty()) {
    const grpc::Status answer = summary_answers_.front();
    summary_answers_.erase(summary_answers_.begin());
    return answer;
  }
  summaries_.emplace_back(header, bytes);
  return grpc::Status::OK;
}

grpc::Status FakeWorkerPort::FetchSummary(grpc::ServerContext*, const v1::FetchSummaryRequest* request,
                                          grpc::ServerWriter<v1::SummaryPiece>* writer) {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [header, bytes] : summaries_) {
    if (header.attempt().job() != request->job() || header.window() != request->window() ||
        header.summary_k() != request->summary_k()) {
      continue;
    }
    v1::SummaryPiece piece;
    *piece.mutable_header() = header;
    writer->Write(piece);
    for (const char byte : bytes) {
      piece.set_data(std::string(1, byte));
      writer->Write(piece);
    }
    return grpc::Status::OK;
  }
  return {grpc::StatusCode::NOT_FOUND, "no such summary"};
}

}  // namespace uaqf::test
