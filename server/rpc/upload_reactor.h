// A call that collects a stream of messages and stores them whole: of prompt sets, and of summaries.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/context.h"

namespace uaqf::rpc {

// Lives until gRPC is done with it. Take and Store are called one at a time: reads come one by one, and storing begins
// after the last.
class UploadReactor : public grpc::ServerReadReactor<grpc::ByteBuffer>, public EndableStream {
 public:
  void OnReadDone(bool ok) final;
  void OnCancel() final { End(gone_); }
  void OnDone() final;
  void End(const absl::Status& status) final ABSL_LOCKS_EXCLUDED(mutex_) { FinishOnce(status); }

 protected:
  // What a kind of upload is: the call's name, what is counted together over all of its kind, and what it answers when
  // the executor is full, and when the caller is gone.
  struct Kind {
    const char* method;
    std::atomic<std::int64_t>* all_bytes;  // bytes of all uploads in progress; outlives them
    absl::Status overloaded;
    absl::Status gone;
  };
  // `response` is gRPC's and lives until Finish.
  UploadReactor(const ServiceContext& context, grpc::CallbackServerContext* call, grpc::ByteBuffer* response, Kind kind)
      : context_(context),
        call_(call),
        response_(response),
        method_(kind.method),
        all_bytes_(kind.all_bytes),
        overloaded_(std::move(kind.overloaded)),
        gone_(std::move(kind.gone)) {}

  // Starts reading. `self` is this.
  void Begin(std::shared_ptr<UploadReactor> self);
  // Counts bytes as under way, until the answer. False: all together are over `limit` now.
  bool Count(std::int64_t bytes, std::int64_t limit);

  const ServiceContext& context() const { return context_; }
  const grpc::CallbackServerContext& call() const { return *call_; }

 private:
  // One message. An error ends the call.
  virtual absl::Status Take(const grpc::ByteBuffer& message) = 0;
  // After the last message, on the executor: the answer.
  virtual absl::StatusOr<grpc::ByteBuffer> Store() = 0;
  void StoreUnlessGone() ABSL_LOCKS_EXCLUDED(mutex_);
  void FinishOnce(const absl::StatusOr<grpc::ByteBuffer>& answer) ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveBack() { all_bytes_->fetch_sub(counted_bytes_.exchange(0)); }

  const ServiceContext& context_;
  grpc::CallbackServerContext* const call_;
  grpc::ByteBuffer* const response_;
  const char* const method_;
  std::atomic<std::int64_t>* const all_bytes_;
  const absl::Status overloaded_;
  const absl::Status gone_;
  grpc::ByteBuffer in_;
  std::atomic<std::int64_t> counted_bytes_ = 0;  // of all_bytes_
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<UploadReactor> self_;
};

}  // namespace uaqf::rpc
