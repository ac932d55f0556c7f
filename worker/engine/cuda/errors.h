// From what CUDA and libtorch say to absl::Status. Host side of the module.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "kernels/cuda/status.h"

namespace uaqf::engine {

// OK for success. RESOURCE_EXHAUSTED: out of memory. UNAVAILABLE: the GPU is lost or failed (it cannot be used again by
// this process). INVALID_ARGUMENT: arguments that do not fit. INTERNAL: the rest. `doing` says what was tried.
[[nodiscard]] absl::Status ToStatus(const cuda::Status& status, const std::string& doing);
[[nodiscard]] absl::Status ToStatus(cudaError_t code, const std::string& doing);

// Runs `body`, which may throw as libtorch does, and turns what it throws into a status.
template <typename Body>
absl::Status Guarded(const std::string& doing, const Body& body);

// What a caught libtorch exception means; to be called inside a catch block.
[[nodiscard]] absl::Status FromCurrentException(const std::string& doing);

template <typename Body>
absl::Status Guarded(const std::string& doing, const Body& body) {
  try {
    return body();
  } catch (...) {
    return FromCurrentException(doing);
  }
}

}  // namespace uaqf::engine

#define UAQF_RETURN_IF_ERROR(expression)                     \
  do {                                                       \
    if (absl::Status s_ = (expression); !s_.ok()) return s_; \
  } while (false)
