// WorkerService: the worker port.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <atomic>
#include <cstdint>

#include "server/rpc/context.h"
#include "server/rpc/worker_streams.h"

namespace uaqf::rpc {

// Every method takes bytes; see call.h.
using WorkerServiceBase =
    v1::WorkerService::WithRawCallbackMethod_Session<v1::WorkerService::WithRawCallbackMethod_Records<
        v1::WorkerService::WithRawCallbackMethod_FetchPrompts<v1::WorkerService::WithRawCallbackMethod_PutSummary<
            v1::WorkerService::WithRawCallbackMethod_FetchSummary<v1::WorkerService::Service>>>>>;

class WorkerService final : public WorkerServiceBase {
 public:
  explicit WorkerService(const ServiceContext& context)
      : context_(context), worker_context_{context.coordinator, context.streams, context.metrics} {}

  using Bytes = grpc::ByteBuffer;
  grpc::ServerBidiReactor<Bytes, Bytes>* Session(grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<Bytes, Bytes>* Records(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<Bytes>* FetchPrompts(grpc::CallbackServerContext* context, const Bytes* request) override;
  grpc::ServerReadReactor<Bytes>* PutSummary(grpc::CallbackServerContext* context, Bytes* response) override;
  grpc::ServerWriteReactor<Bytes>* FetchSummary(grpc::CallbackServerContext* context, const Bytes* request) override;

 private:
  const ServiceContext& context_;
  const WorkerContext worker_context_;
  std::atomic<std::int64_t> summary_bytes_{0};  // of all summaries under way
};

}  // namespace uaqf::rpc
