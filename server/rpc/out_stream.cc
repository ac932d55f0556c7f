#include "server/rpc/out_stream.h"

#include <utility>

#include "proto/wire/status.h"

namespace uaqf::rpc {

void OutStream::Begin(std::shared_ptr<OutStream> self) {
  context_.streams->Add(self);
  self_ = std::move(self);
}

void OutStream::Put(grpc::ByteBuffer message, bool last) {
  absl::MutexLock lock(&mutex_);
  next_ = std::move(message);
  last_ = last_ || last;
  Pump();
}

void OutStream::End(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (!end_.has_value()) end_ = status;
  Pump();
}

void OutStream::OnCancel() { End(absl::CancelledError("the client is gone")); }

void OutStream::OnWriteDone(bool ok) {
  bool empty = false;
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !end_.has_value()) end_ = absl::CancelledError("the client is gone");
    empty = !next_.has_value() && !last_ && !end_.has_value();
    Pump();
  }
  if (empty) OnSent();
}

void OutStream::OnDone() {
  const std::shared_ptr<OutStream> self = std::move(self_);
  context_.streams->Remove(this);
  OnEnd();
}

void OutStream::Pump() {
  if (finished_ || writing_) return;
  if (!end_.has_value() && next_.has_value()) {
    out_ = *std::exchange(next_, std::nullopt);
    writing_ = true;
    StartWrite(&out_);
    return;
  }
  if (!end_.has_value() && last_) end_ = absl::OkStatus();
  if (!end_.has_value()) return;
  finished_ = true;
  const grpc::Status status = wire::ToGrpc(*end_);
  context_.metrics->CountRpc(method_, status.error_code());
  Finish(status);
}

}  // namespace uaqf::rpc
