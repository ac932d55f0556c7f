// Memory turned into capacity: how many sequences a device holds beside the weights of a variant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/ranking/measurements.h"

namespace uaqf::ranking {

struct Capacity {
  std::int32_t context_tokens = 0;
  std::int64_t device_bytes = 0;
  // Beside weights and workspace; 0 where they alone exceed the device.
  std::int64_t free_bytes = 0;
  // Whole sequences of `context_tokens` whose KV caches the free memory holds. Absent where it cannot be told.
  std::optional<std::int64_t> sequences{};
  std::string reason{};  // why it cannot; empty when it can
};

// Absent for a `context_tokens` of 0: nobody asked. `device_bytes`: 0 for the device that hosted the variant.
[[nodiscard]] std::optional<Capacity> CapacityOf(const std::optional<Memory>& memory, std::int32_t context_tokens,
                                                 std::int64_t device_bytes);

}  // namespace uaqf::ranking
