// EvaluationService: the client's door to jobs, prompt sets and records.
#pragma once

#include <uaqf/v1/evaluation_service.grpc.pb.h>

#include <atomic>
#include <cstdint>

#include "server/rpc/call.h"
#include "server/rpc/context.h"
#include "server/rpc/errors.h"
#include "server/rpc/records_page.h"

namespace uaqf::rpc {

// Every method takes bytes; see call.h.
using EvaluationServiceBase = v1::EvaluationService::WithRawCallbackMethod_CreatePromptSet<
    v1::EvaluationService::WithRawCallbackMethod_ImportJob<v1::EvaluationService::WithRawCallbackMethod_GetPromptSet<
        v1::EvaluationService::WithRawCallbackMethod_ListPromptSets<
            v1::EvaluationService::WithRawCallbackMethod_CreateJob<v1::EvaluationService::WithRawCallbackMethod_GetJob<
                v1::EvaluationService::WithRawCallbackMethod_ListJobs<
                    v1::EvaluationService::WithRawCallbackMethod_CancelJob<
                        v1::EvaluationService::WithRawCallbackMethod_WatchJob<
                            v1::EvaluationService::WithRawCallbackMethod_ListRecords<
                                v1::EvaluationService::WithRawCallbackMethod_StreamRecords<
                                    v1::EvaluationService::WithRawCallbackMethod_ListWorkers<
                                        v1::EvaluationService::WithRawCallbackMethod_ListVariants<
                                            v1::EvaluationService::Service>>>>>>>>>>>>>;

class EvaluationService final : public EvaluationServiceBase {
 public:
  explicit EvaluationService(const ServiceContext& context) : context_(context), labels_(context.store) {}

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  grpc::ServerReadReactor<Bytes>* CreatePromptSet(Context* context, Bytes* response) override;
  grpc::ServerUnaryReactor* GetPromptSet(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ListPromptSets(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* CreateJob(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ImportJob(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* GetJob(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ListJobs(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* CancelJob(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerWriteReactor<Bytes>* WatchJob(Context* context, const Bytes* request) override;
  grpc::ServerUnaryReactor* ListRecords(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerWriteReactor<Bytes>* StreamRecords(Context* context, const Bytes* request) override;
  grpc::ServerUnaryReactor* ListWorkers(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ListVariants(Context* context, const Bytes* request, Bytes* response) override;

 private:
  // On the executor: what needs the store before the loop can take the job.
  void PrepareJob(const v1::CreateJobRequest& request, const Call<v1::Job>& call);
  // Whether every set there is of its kind; the number of prompts.
  absl::StatusOr<std::int32_t> CheckPromptSets(const core::JobSpec& spec);
  // A text that serves as `role`.
  absl::Status CheckText(const std::string& digest, const std::string& role);

  const ServiceContext& context_;
  PromptLabels labels_;
  std::atomic<std::int64_t> upload_bytes_{0};
};

// Runs `task` on the executor, or answers that there is too much to do. `call` is answered by the task.
template <typename Response, typename Task>
void OnExecutor(Executor* executor, const Call<Response>& call, Task task) {
  if (!executor->Post([call, task = std::move(task)]() mutable { task(); })) {
    call->Finish(Overloaded());
  }
}

}  // namespace uaqf::rpc
