// What a job that may end early took of its devices, and what it spared them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/core/types.h"

namespace uaqf::core {

// Sums over the chunks of one kind of one variant.
struct ChunkTimes {
  std::int32_t variant = 0;
  ChunkKind kind = ChunkKind::kTiming;
  std::int64_t timed_items = 0;    // of accepted attempts whose time is known
  std::int64_t timed_ns = 0;       // wall time of those attempts
  std::int64_t open_items = 0;     // still to be measured
  std::int64_t skipped_items = 0;  // abandoned: need not be measured any more
};

// Seconds of the devices.
struct DeviceTime {
  double measured_s = 0;   // that the accepted attempts took
  double remaining_s = 0;  // that what is open will take, estimated
  double skipped_s = 0;    // that what was abandoned would have taken, estimated

  // That all variants measured to the end would take.
  double UniformS() const { return measured_s + remaining_s + skipped_s; }
  // Share of that which was spared, 0 to 1.
  double SavedShare() const { return UniformS() > 0 ? skipped_s / UniformS() : 0; }
};

// What was not measured is taken to last as long as the same kind of the same variant did on the average of its items,
// or, where the variant has none, as that kind did on the average of the others. Absent where no time is known, or that
// of what was left out cannot be told. `times` is without variants that could not be hosted: nobody would have measured
// them. Pure.
[[nodiscard]] std::optional<DeviceTime> EstimateDeviceTime(const std::vector<ChunkTimes>& times);

}  // namespace uaqf::core
