#include "worker/engine/cuda/fault.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace uaqf::engine {

absl::StatusOr<FaultPlan> ParseFaultPlan(const std::string& text) {
  FaultPlan plan;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(part, absl::MaxSplits(':', 1));
    int64_t* place = pair.first == "lost"     ? &plan.lost_at_step
                     : pair.first == "memory" ? &plan.no_memory_at_matrix
                                              : nullptr;
    if (place == nullptr || !absl::SimpleAtoi(pair.second, place) || *place < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("got fault \"", part, "\", expected lost:N or memory:N with N from 1"));
    }
  }
  return plan;
}

Faults& Faults::OfProcess() {
  static Faults faults = [] {
    const char* text = std::getenv("UAQF_CUDA_FAULT");
    const absl::StatusOr<FaultPlan> plan = ParseFaultPlan(text == nullptr ? "" : text);
    if (plan.ok()) return Faults(*plan);
    std::fprintf(stderr, "error: UAQF_CUDA_FAULT: %s\n", std::string(plan.status().message()).c_str());
    std::abort();
  }();
  return faults;
}

absl::Status Faults::Step() {
  ++steps_;
  if (plan_.lost_at_step == 0 || steps_ < plan_.lost_at_step) return absl::OkStatus();
  return absl::UnavailableError(
      "the GPU is lost (simulated by UAQF_CUDA_FAULT); restart the worker, and look for Xid errors in the kernel's "
      "log");
}

absl::Status Faults::Matrix() {
  ++matrices_;
  if (matrices_ != plan_.no_memory_at_matrix) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "out of memory (simulated by UAQF_CUDA_FAULT); use a smaller variant or another GPU");
}

}  // namespace uaqf::engine
