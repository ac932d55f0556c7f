// The device that a command computes on, ready to be watched.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/measure/clock.h"
#include "worker/measure/device_monitor.h"

namespace uaqf::commands {

struct WatchedDevice {
  std::unique_ptr<measure::DeviceMonitor> monitor;
  // Peak of its memory in use by this process, bytes.
  std::function<int64_t()> peak_memory_bytes;
};

// `name` is "cpu" or "cuda:N"; on a GPU the processors only drive it. `clock` is borrowed. INVALID_ARGUMENT for another
// name; what the CUDA module says when the GPU cannot be used.
[[nodiscard]] absl::StatusOr<WatchedDevice> OpenDevice(const std::string& name, const std::vector<int>& cpus,
                                                       double max_foreign_load, measure::Clock* clock);

// Limits of a GPU, measured now: what its memory gives to a kernel that only reads (1e9 bytes/s), and its FP16 matrix
// products, sustained (1e12 operations/s).
struct GpuLimits {
  double read_gbps = 0;
  double matrix_tflops = 0;
};
[[nodiscard]] absl::StatusOr<GpuLimits> MeasureGpuLimits(const std::string& name);

// What the device that OpenDevice opened does at most, measured when called, of a GPU once: see
// EngineEvaluator::Options::limits.
[[nodiscard]] std::function<absl::StatusOr<measure::DeviceLimits>(int64_t bytes)> LimitsOf(const std::string& name,
                                                                                           std::vector<int> cpus);

}  // namespace uaqf::commands
