// The thread that does the work: surveys, hosting and leases, one after the other, as the board says.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/link/board.h"
#include "worker/link/prompt_cache.h"
#include "worker/link/records.h"
#include "worker/link/session.h"
#include "worker/measure/chunk.h"

namespace uaqf::link {

// Everything is borrowed; `device.evaluator`, `prompts` and the others are used from Run's thread only.
struct RunnerParts {
  Board* board;
  Session* session;
  Records* records;
  PromptCache* prompts;
  measure::ChunkDevice device;
  std::string build;
  // For summaries.
  v1::WorkerService::StubInterface* stub;
  std::string worker;  // "workers/{worker}"
};

class Runner {
 public:
  explicit Runner(RunnerParts parts) : parts_(parts) {}

  // Works until the board is stopped; a running chunk then ends before its next item or token.
  void Run();

 private:
  void Do(const v1::Survey& survey);
  // Tells the board how far it is, as `loading` with the calibration's progress. CANCELLED: not wanted any more.
  absl::Status Load(const v1::VariantAssignment& assignment, const v1::HostedVariant& loading);
  void Do(const v1::VariantAssignment& assignment);
  void Do(const DropHosted&);
  void Do(const v1::Lease& lease);
  void Do(std::monostate) {}

  absl::StatusOr<measure::SurveyReport> Look(const v1::Survey& survey);
  absl::StatusOr<v1::AttemptEnd> Measure(const v1::Lease& lease);
  // All but the count of records.
  absl::StatusOr<v1::AttemptEnd> End(const measure::DeviceUse& use);
  // The set, retried while the coordinator is away, until `attempt` (if any) is not wanted any more.
  absl::StatusOr<std::shared_ptr<const measure::PromptSet>> Fetch(const std::string& name, const Attempt* attempt);

  RunnerParts parts_;
};

}  // namespace uaqf::link
