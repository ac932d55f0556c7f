// A stream of answers to one request: one slot for the next message, one write in flight, finished once.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/metrics/metrics.h"
#include "server/rpc/context.h"
#include "server/rpc/stream.h"

namespace uaqf::rpc {

class OutStream : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public EndableStream {
 public:
  // `method` is a literal.
  OutStream(const ServiceContext& context, const char* method) : context_(context), method_(method) {}

  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override;

 protected:
  // Keeps the object alive until OnDone. Call once, first.
  void Begin(std::shared_ptr<OutStream> self);
  // Replaces the message that waits, if one does. After the `last` one the stream ends OK.
  void Put(grpc::ByteBuffer message, bool last) ABSL_LOCKS_EXCLUDED(mutex_);
  // A message was written and none waits: time to make the next. Called without the lock, on a reaction's thread.
  virtual void OnSent() {}
  // After the last reaction.
  virtual void OnEnd() {}
  bool ended() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return end_.has_value();
  }

  const ServiceContext& context_;

 private:
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const char* const method_;
  mutable absl::Mutex mutex_;
  std::optional<grpc::ByteBuffer> next_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer out_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool last_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<OutStream> self_;
};

}  // namespace uaqf::rpc
