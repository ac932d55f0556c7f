#include "server/rpc/worker_streams.h"

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/wire/credentials.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/validate.h"

namespace uaqf::rpc {
namespace {

// Batches of one worker that wait for their commit; beyond either the stream is not read.
constexpr std::size_t kMaxWaitingBatches = 16;
constexpr std::size_t kMaxWaitingBytes = 4u << 20;

}  // namespace

absl::Status MayBe(const grpc::CallbackServerContext& call, const std::string& worker) {
  if (wire::MayBeWorker(*call.auth_context(), worker)) return absl::OkStatus();
  return wire::Error(absl::StatusCode::kPermissionDenied, "WRONG_WORKER",
                     absl::StrCat("got the name ", wire::WorkerName(worker),
                                  ", expected one that the certificate is for (uaqf://worker/...)"));
}

WorkerStream::WorkerStream(grpc::CallbackServerContext* call, const WorkerContext& context, const char* method)
    : context_(context), call_(call), method_(method) {}

void WorkerStream::Begin(std::shared_ptr<WorkerStream> self, std::shared_ptr<EndableStream> endable) {
  self_ = std::move(self);
  registered_ = endable.get();
  context_.streams->Add(endable);
  absl::MutexLock lock(&mutex_);
  Pump();
}

void WorkerStream::Pump() {
  if (finished_) return;
  if (!writing_) {
    if (half_closed_ && !end_.has_value() && MayEnd()) end_ = absl::OkStatus();
    if (end_.has_value()) {
      finished_ = true;
      const grpc::Status status = wire::ToGrpc(*end_);
      context_.metrics->CountRpc(method_, status.error_code());
      Finish(status);
      return;
    }
    if (std::optional<grpc::ByteBuffer> next = NextWrite(); next.has_value()) {
      out_ = *std::move(next);
      writing_ = true;
      StartWrite(&out_);
    }
  }
  if (!reading_ && !half_closed_ && !end_.has_value() && MayRead()) {
    reading_ = true;
    StartRead(&in_);
  }
}

void WorkerStream::EndLocked(const absl::Status& status) {
  if (!end_.has_value()) end_ = status;
  Pump();
}

void WorkerStream::OnReadDone(bool ok) {
  absl::Status status;
  if (ok) {
    try {
      status = OnMessage(in_);
    } catch (const std::exception& error) {
      status = wire::Error(absl::StatusCode::kInternal, "INTERNAL", error.what());
    }
  }
  absl::MutexLock lock(&mutex_);
  reading_ = false;
  if (!ok) half_closed_ = true;
  if (!status.ok()) return EndLocked(status);
  Pump();
}

void WorkerStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) return EndLocked(absl::CancelledError("the worker is gone"));
  Pump();
}

void WorkerStream::OnCancel() {
  absl::MutexLock lock(&mutex_);
  EndLocked(absl::CancelledError("the worker is gone"));
}

void WorkerStream::OnDone() {
  const std::shared_ptr<WorkerStream> self = std::move(self_);
  context_.streams->Remove(registered_);
  OnEnd();
}

// --- Session

SessionStream* SessionStream::Start(grpc::CallbackServerContext* call, const WorkerContext& context) {
  auto stream = std::make_shared<SessionStream>(call, context, "WorkerService/Session");
  stream->weak_ = stream;
  stream->Begin(stream, stream);
  return stream.get();
}

absl::Status SessionStream::OnMessage(const grpc::ByteBuffer& bytes) {
  v1::WorkerState message;
  if (absl::Status parsed = Parse(bytes, &message); !parsed.ok()) return parsed;
  if (absl::Status valid = Validate(message); !valid.ok()) return valid;
  core::WorkerReport report = FromProto(message);
  if (worker_.empty()) {
    if (absl::Status may = MayBe(*call(), report.worker); !may.ok()) return may;
    worker_ = report.worker;
    session_ = report.session;
  } else if (report.worker != worker_ || report.session != session_) {
    return wire::Error(absl::StatusCode::kInvalidArgument, "SESSION_CHANGED",
                       absl::StrCat("got another worker or session than in the first message of ",
                                    wire::WorkerName(worker_), ", expected a new stream for it"));
  }
  {
    absl::MutexLock lock(&mutex_);
    const bool queued = report_.has_value();
    report_ = std::move(report);
    if (queued) return absl::OkStatus();
  }
  context_.coordinator->PostReport(weak_.lock());
  return absl::OkStatus();
}

std::optional<core::WorkerReport> SessionStream::TakeReport() {
  absl::MutexLock lock(&mutex_);
  if (ended()) return std::nullopt;
  return std::exchange(report_, std::nullopt);
}

void SessionStream::Send(const core::DesiredState& desired) {
  grpc::ByteBuffer bytes = Serialize(ToProto(desired));
  absl::MutexLock lock(&mutex_);
  desired_ = std::move(bytes);
  Pump();
}

void SessionStream::End(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  EndLocked(status);
}

std::optional<grpc::ByteBuffer> SessionStream::NextWrite() { return std::exchange(desired_, std::nullopt); }

void SessionStream::OnEnd() { context_.coordinator->PostDisconnect(weak_.lock()); }

// --- Records

RecordsStream* RecordsStream::Start(grpc::CallbackServerContext* call, const WorkerContext& context) {
  auto stream = std::make_shared<RecordsStream>(call, context, "WorkerService/Records");
  stream->weak_ = stream;
  stream->Begin(stream, stream);
  return stream.get();
}

absl::Status RecordsStream::OnMessage(const grpc::ByteBuffer& bytes) {
  v1::RecordBatch message;
  if (absl::Status parsed = Parse(bytes, &message); !parsed.ok()) return parsed;
  if (absl::Status valid = Validate(message); !valid.ok()) return valid;
  core::RecordBatch batch = FromProto(message);
  batch.contradiction = Contradiction(message);
  if (absl::Status may = MayBe(*call(), batch.worker); !may.ok()) return may;
  {
    absl::MutexLock lock(&mutex_);
    waiting_.push_back(bytes.Length());
    waiting_bytes_ += bytes.Length();
  }
  context_.coordinator->PostBatch(weak_.lock(), std::move(batch));
  return absl::OkStatus();
}

bool RecordsStream::MayRead() { return waiting_.size() < kMaxWaitingBatches && waiting_bytes_ < kMaxWaitingBytes; }

void RecordsStream::Ack(const core::AttemptId& attempt, std::int64_t sequence, const core::BatchReply& reply) {
  v1::RecordAck ack;
  *ack.mutable_attempt() = ToProto(attempt);
  ack.set_sequence(sequence);
  ack.set_verdict(ToProto(reply.verdict));
  ack.set_reason(reply.reason);
  grpc::ByteBuffer bytes = Serialize(ack);
  absl::MutexLock lock(&mutex_);
  acks_.push_back(std::move(bytes));
  Pump();
}

void RecordsStream::End(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  EndLocked(status);
}

std::optional<grpc::ByteBuffer> RecordsStream::NextWrite() {
  if (acks_.empty()) return std::nullopt;
  grpc::ByteBuffer next = std::move(acks_.front());
  acks_.pop_front();
  waiting_bytes_ -= waiting_.front();
  waiting_.pop_front();
  return next;
}

}  // namespace uaqf::rpc
