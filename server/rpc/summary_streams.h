// PutSummary and FetchSummary: FP16's summary of one window, from the worker that made it to those that compare with
// it.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <uaqf/v1/worker_service.pb.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/context.h"
#include "server/rpc/out_stream.h"

namespace uaqf::rpc {

// Collects one summary and stores it under its attempt.
class SummaryUploadStream final : public grpc::ServerReadReactor<grpc::ByteBuffer>, public EndableStream {
 public:
  // `response` is gRPC's and lives until Finish. `all_bytes` counts the bytes of all summaries under way. Never null.
  static SummaryUploadStream* Start(const ServiceContext& context, grpc::CallbackServerContext* call,
                                    std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response);
  SummaryUploadStream(const ServiceContext& context, grpc::CallbackServerContext* call,
                      std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response)
      : context_(context), call_(call), all_bytes_(all_bytes), response_(response) {}

  void OnReadDone(bool ok) override;
  void OnCancel() override { End(absl::CancelledError("the worker is gone")); }
  void OnDone() override;
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Status Take();
  absl::Status TakeHeader(const v1::SummaryHeader& header);
  absl::Status Store();

  const ServiceContext& context_;
  grpc::CallbackServerContext* const call_;
  std::atomic<std::int64_t>* const all_bytes_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer in_;
  // Touched by one at a time: reads come one by one, and storing begins after the last.
  std::optional<v1::SummaryHeader> header_;
  std::atomic<std::int64_t> counted_bytes_ = 0;  // of all_bytes_, given back once
  std::string bytes_;
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<SummaryUploadStream> self_;
};

// Sends one summary piece by piece, read as it is sent.
class SummaryStream final : public OutStream {
 public:
  static OutStream* Start(const ServiceContext& context, const grpc::ByteBuffer& request);
  explicit SummaryStream(const ServiceContext& context) : OutStream(context, "WorkerService/FetchSummary") {}

  void OnSent() override;

 private:
  void Next();

  std::weak_ptr<SummaryStream> weak_;
  // Touched by one task at a time: the next one is posted when a message was sent.
  store::SummaryKey key_;
  std::optional<store::SummaryInfo> info_;
  std::int32_t next_ = 0;
};

}  // namespace uaqf::rpc
