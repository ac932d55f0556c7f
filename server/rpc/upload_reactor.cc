#include "server/rpc/upload_reactor.h"

#include <grpcpp/server_context.h>

#include <exception>
#include <utility>

#include "proto/wire/status.h"

namespace uaqf::rpc {

void UploadReactor::Begin(std::shared_ptr<UploadReactor> self) {
  self_ = std::move(self);
  context_.streams->Add(self_);
  StartRead(&in_);
}

bool UploadReactor::Count(std::int64_t bytes, std::int64_t limit) {
  counted_bytes_ += bytes;
  return all_bytes_->fetch_add(bytes) + bytes <= limit;
}

void UploadReactor::OnReadDone(bool ok) {
  if (!ok) {
    auto self = self_;
    if (!context_.executor->Post([self] { self->StoreUnlessGone(); })) End(overloaded_);
    return;
  }
  absl::Status taken;
  try {
    taken = Take(in_);
  } catch (const std::exception& error) {
    taken = wire::Error(absl::StatusCode::kInternal, "INTERNAL", error.what());
  }
  if (!taken.ok()) return End(taken);
  absl::MutexLock lock(&mutex_);
  if (!finished_) StartRead(&in_);
}

void UploadReactor::StoreUnlessGone() {
  {
    // A cancelled upload also ends its reads, and must not be taken for a complete one.
    absl::MutexLock lock(&mutex_);
    if (finished_ || call_->IsCancelled()) return;  // OnCancel finishes it
  }
  FinishOnce(Store());
}

void UploadReactor::FinishOnce(const absl::StatusOr<grpc::ByteBuffer>& answer) {
  absl::MutexLock lock(&mutex_);
  if (finished_) return;
  finished_ = true;
  if (answer.ok()) *response_ = *answer;
  const grpc::Status status = wire::ToGrpc(answer.status());
  context_.metrics->CountRpc(method_, status.error_code());
  // Before the answer: who has it may send the next one.
  GiveBack();
  Finish(status);
}

void UploadReactor::OnDone() {
  const std::shared_ptr<UploadReactor> self = std::move(self_);
  context_.streams->Remove(this);
  GiveBack();
}

}  // namespace uaqf::rpc
