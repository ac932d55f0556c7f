// Names of what computes, as people give them: "cpu", "cuda:0".
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace uaqf::engine {

struct DeviceName {
  bool cuda = false;
  // GPU in the driver's order, 0 for the processor.
  int ordinal = 0;
};

// INVALID_ARGUMENT: neither "cpu" nor "cuda:N" with N from 0 to 1023.
[[nodiscard]] absl::StatusOr<DeviceName> ParseDevice(const std::string& name);

}  // namespace uaqf::engine
