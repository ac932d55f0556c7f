#include "server/core/device_time.h"

#include <map>

namespace uaqf::core {
namespace {

constexpr double kNsPerSecond = 1e9;

// Seconds of one item.
double PerItem(const ChunkTimes& times) {
  return static_cast<double>(times.timed_ns) / kNsPerSecond / static_cast<double>(times.timed_items);
}

}  // namespace

std::optional<DeviceTime> EstimateDeviceTime(const std::vector<ChunkTimes>& times) {
  struct Mean {
    double sum = 0;
    int variants = 0;
  };
  std::map<ChunkKind, Mean> others;
  for (const ChunkTimes& own : times) {
    if (own.timed_items == 0) continue;
    Mean& mean = others[own.kind];
    mean.sum += PerItem(own);
    ++mean.variants;
  }
  DeviceTime total;
  for (const ChunkTimes& own : times) {
    total.measured_s += static_cast<double>(own.timed_ns) / kNsPerSecond;
    if (own.open_items == 0 && own.skipped_items == 0) continue;
    const auto mean = others.find(own.kind);
    if (mean == others.end()) return std::nullopt;
    const double each = own.timed_items > 0 ? PerItem(own) : mean->second.sum / mean->second.variants;
    total.remaining_s += each * static_cast<double>(own.open_items);
    total.skipped_s += each * static_cast<double>(own.skipped_items);
  }
  if (!(total.measured_s > 0)) return std::nullopt;
  return total;
}

}  // namespace uaqf::core
