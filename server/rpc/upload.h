// CreatePromptSet: a stream of items becomes a stored set.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <uaqf/v1/evaluation_service.pb.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/wire/digest.h"
#include "server/rpc/context.h"

namespace uaqf::rpc {

// Checks and collects the messages of one upload. Not thread-safe.
class PromptSetBuilder {
 public:
  explicit PromptSetBuilder(const Limits& limits) : limits_(limits) {}

  // INVALID_ARGUMENT: no header first, or a bad item. RESOURCE_EXHAUSTED: over a limit.
  [[nodiscard]] absl::Status Add(const v1::CreatePromptSetRequest& request);
  // What is to be stored. INVALID_ARGUMENT: no header, no items. Call once.
  [[nodiscard]] absl::StatusOr<store::PromptSetInfo> Finish();
  const std::vector<store::PromptItem>& items() const { return items_; }

 private:
  absl::Status AddItem(const v1::Prompt& prompt);

  const Limits limits_;
  std::optional<v1::PromptSetHeader> header_;
  std::optional<wire::PromptSetDigest> digest_;
  std::vector<store::PromptItem> items_;
  std::set<std::string> ids_;
  std::int64_t bytes_ = 0;
};

class UploadStream final : public grpc::ServerReadReactor<grpc::ByteBuffer>, public EndableStream {
 public:
  // `response` is gRPC's and lives until Finish. `all_bytes` counts the bytes of all uploads in progress. Never null.
  static UploadStream* Start(const ServiceContext& context, grpc::CallbackServerContext* call,
                             std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response);
  UploadStream(const ServiceContext& context, grpc::CallbackServerContext* call, std::atomic<std::int64_t>* all_bytes,
               grpc::ByteBuffer* response)
      : context_(context), call_(call), all_bytes_(all_bytes), response_(response), builder_(context.limits) {}

  void OnReadDone(bool ok) override;
  void OnCancel() override { End(absl::CancelledError("the client is gone")); }
  void OnDone() override;
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Status Take();
  void Store();
  void FinishOnce(const absl::StatusOr<store::PromptSetInfo>& answer) ABSL_LOCKS_EXCLUDED(mutex_);

  const ServiceContext& context_;
  grpc::CallbackServerContext* const call_;
  std::atomic<std::int64_t>* const all_bytes_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer in_;
  std::int64_t counted_bytes_ = 0;
  PromptSetBuilder builder_;  // reads come one by one, and storing begins after the last
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<UploadStream> self_;
};

}  // namespace uaqf::rpc
