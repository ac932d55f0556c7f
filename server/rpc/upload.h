// CreatePromptSet: a stream of items becomes a stored set.
#pragma once

#include <uaqf/v1/evaluation_service.pb.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/wire/digest.h"
#include "server/rpc/context.h"
#include "server/rpc/upload_reactor.h"

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

class UploadStream final : public UploadReactor {
 public:
  // `response` is gRPC's and lives until Finish. `all_bytes` counts the bytes of all uploads in progress. Never null.
  static UploadStream* Start(const ServiceContext& context, grpc::CallbackServerContext* call,
                             std::atomic<std::int64_t>* all_bytes, grpc::ByteBuffer* response);
  UploadStream(const ServiceContext& context, grpc::CallbackServerContext* call, std::atomic<std::int64_t>* all_bytes,
               grpc::ByteBuffer* response);

 private:
  absl::Status Take(const grpc::ByteBuffer& message) override;
  absl::StatusOr<grpc::ByteBuffer> Store() override;

  PromptSetBuilder builder_;
};

}  // namespace uaqf::rpc
