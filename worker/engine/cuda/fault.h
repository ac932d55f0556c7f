// Failures on purpose, for tests: a GPU that is lost in the middle of a chunk, memory that runs out while loading.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace uaqf::engine {

// Counted from 1 over the life of the process; 0 never.
struct FaultPlan {
  // The GPU is lost at this decode step, and stays lost.
  int64_t lost_at_step = 0;
  // This allocation of a weight matrix finds no memory.
  int64_t no_memory_at_matrix = 0;
};

// "lost:N", "memory:N", or both joined by a comma; empty for none. INVALID_ARGUMENT: anything else.
[[nodiscard]] absl::StatusOr<FaultPlan> ParseFaultPlan(const std::string& text);

// Counts what happens against a plan. Not thread-safe.
class Faults {
 public:
  explicit Faults(FaultPlan plan) : plan_(plan) {}
  // By $UAQF_CUDA_FAULT; one for the process. A text that is no plan ends the process: a test would test nothing.
  static Faults& OfProcess();

  // UNAVAILABLE when the GPU is lost.
  [[nodiscard]] absl::Status Step();
  // RESOURCE_EXHAUSTED when this matrix finds no memory.
  [[nodiscard]] absl::Status Matrix();

 private:
  const FaultPlan plan_;
  int64_t steps_ = 0;
  int64_t matrices_ = 0;
};

}  // namespace uaqf::engine
