// DeviceMonitor of a GPU: what its sensor says before, between and after the items of a chunk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/measure/clock.h"
#include "worker/measure/device_monitor.h"
#include "worker/measure/gpu_sensor.h"

namespace uaqf::measure {

// NVML's bits of GpuState::slowdowns that say something. The first two are the GPU's own affair (nothing to do; its
// power limit, which a variant brings on itself); the others come from heat or from outside.
inline constexpr uint64_t kGpuIdle = 0x1;
inline constexpr uint64_t kPowerCap = 0x4;
inline constexpr uint64_t kHardwareSlowdown = 0x8;
inline constexpr uint64_t kThermalSoftware = 0x20;
inline constexpr uint64_t kThermalHardware = 0x40;
inline constexpr uint64_t kPowerBrake = 0x80;

// Names of the bits that are set, without "idle"; unknown bits as "0x...".
std::vector<std::string> SlowdownNames(uint64_t bits);

// What one attempt's looks, in order and at least two, and its counters say together. Processes named `worker_name` are
// workers of ours, which take turns. Where the list of processes lacks `own_pid` it is of another namespace and says
// nothing.
GpuUse SummarizeGpu(std::span<const GpuState> looks, const GpuCounters& before, const GpuCounters& after,
                    int64_t own_pid, const std::string& worker_name);

// What spoiled the attempt from outside; empty when nothing did.
std::vector<std::string> TaintsOf(const GpuUse& use);

class GpuMonitor final : public DeviceMonitor {
 public:
  // `sensor` may be null: then there is no evidence, and no taint. `clear_caches` writes through the GPU's L2 cache and
  // waits. `clock` is borrowed.
  GpuMonitor(Device device, std::unique_ptr<GpuSensor> sensor, std::function<absl::Status()> clear_caches,
             Clock* clock);

  const Device& device() const override { return device_; }
  void ClearCaches() override;
  void Begin() override;
  void BetweenItems() override;
  DeviceUse End() override;

  // Most device memory that this process was seen to hold, now included, bytes; 0 when the driver does not tell.
  int64_t PeakMemoryBytes();

 private:
  void Look();

  const Device device_;
  const std::unique_ptr<GpuSensor> sensor_;
  const std::function<absl::Status()> clear_caches_;
  Clock* const clock_;
  const int64_t own_pid_;
  std::vector<GpuState> looks_;
  GpuCounters before_;
  int64_t begin_ns_ = 0;
  int64_t begin_switches_ = 0;
  int64_t peak_bytes_ = 0;
  absl::Status cleared_;
};

}  // namespace uaqf::measure
