// FP16's summaries, handed to the coordinator and fetched from it while one attempt runs.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "worker/measure/chunk.h"

namespace uaqf::link {

// Used from one thread. While the coordinator is away it tries again.
class RemoteSummaries final : public measure::SummaryExchange {
 public:
  // `stub` is borrowed. `worker` is "workers/{worker}". `wait`: called before another try, waits a little and says
  // whether the attempt is still wanted; CANCELLED otherwise.
  RemoteSummaries(v1::WorkerService::StubInterface* stub, std::string worker, const v1::Lease& lease,
                  std::function<bool()> wait);

  // CANCELLED besides: the attempt's lease was lost.
  absl::StatusOr<std::string> Put(int32_t window, const std::string& bytes) override;
  // DATA_LOSS besides: what came is not what was stored.
  absl::StatusOr<std::string> Get(int32_t window) override;

 private:
  absl::Status Send(const v1::SummaryHeader& header, const std::string& bytes);
  absl::StatusOr<std::string> Fetch(int32_t window);

  v1::WorkerService::StubInterface* const stub_;
  const std::string worker_;
  const v1::AttemptId attempt_;
  const int32_t summary_k_;
  const std::function<bool()> wait_;
};

}  // namespace uaqf::link
