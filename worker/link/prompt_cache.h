// Prompt sets of the coordinator, fetched once by their content-addressed name.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <deque>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/measure/types.h"

namespace uaqf::link {

// Keeps the sets used last. Used from one thread.
class PromptCache {
 public:
  // `stub` is borrowed.
  explicit PromptCache(v1::WorkerService::StubInterface* stub) : stub_(stub) {}

  // The set, fetched when it is not here, within `deadline`. Shared, since the cache may drop a set that a run uses.
  // NOT_FOUND: no such set. UNAVAILABLE, DEADLINE_EXCEEDED: try again.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const measure::PromptSet>> Get(const std::string& name,
                                                                              absl::Duration deadline);

 private:
  v1::WorkerService::StubInterface* const stub_;
  std::deque<std::shared_ptr<const measure::PromptSet>> sets_;  // latest first
};

}  // namespace uaqf::link
