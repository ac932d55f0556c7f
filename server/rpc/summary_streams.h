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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/rpc/context.h"
#include "server/rpc/out_stream.h"
#include "server/rpc/upload_reactor.h"

namespace uaqf::rpc {

// Collects one summary and stores it under its attempt.
class SummaryUploadStream final : public UploadReactor {
 public:
  // `response` is gRPC's and lives until Finish. `all_bytes` counts the bytes of all summaries under way. Never null.
  static SummaryUploadStream* Start(const ServiceContext& context, grpc::CallbackServerContext* call,
                                    std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response);
  SummaryUploadStream(const ServiceContext& context, grpc::CallbackServerContext* call,
                      std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response);

 private:
  absl::Status Take(const grpc::ByteBuffer& message) override;
  absl::Status TakeHeader(const v1::SummaryHeader& header);
  absl::StatusOr<grpc::ByteBuffer> Store() override;

  std::optional<v1::SummaryHeader> header_;
  std::string bytes_;
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
