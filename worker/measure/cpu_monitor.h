// DeviceMonitor of a set of processors, from /proc and getrusage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/measure/clock.h"
#include "worker/measure/device_monitor.h"

namespace uaqf::measure {

struct CpuMonitorOptions {
  // Processors that are watched; empty: all that the process may use.
  std::vector<int> cpus;
  // Threads and instruction set of the engine, for the device's description.
  int32_t threads = 0;
  std::string isa;
  // Foreign load above which an attempt is tainted, as a fraction of the processors' time; 1 or more never taints.
  double max_foreign_load = 0.25;
};

// Busy time of `cpus` in clock ticks, by the text of /proc/stat: all but idle and waiting for a disk. Time that a
// hypervisor gave to others ("steal") counts as busy. An unknown text gives 0.
int64_t BusyTicks(absl::string_view proc_stat, const std::vector<int>& cpus);

// Value of `key` in the text of /proc/cpuinfo, averaged over all processors that tell one; 0 without any.
double MeanMhz(absl::string_view cpuinfo);
// "model name" in the text of /proc/cpuinfo, or "unknown processor".
std::string CpuName(absl::string_view cpuinfo);

// "cpu:{host}:{cpu set}".
std::string CpuDeviceId(const std::vector<int>& cpus);

class CpuMonitor final : public DeviceMonitor {
 public:
  // `clock` is borrowed.
  CpuMonitor(CpuMonitorOptions options, Clock* clock);

  const Device& device() const override { return device_; }
  // Writes and evicts a buffer twice as large as the last-level cache.
  void ClearCaches() override;
  void Begin() override;
  // A time too short for the kernel's clock ticks (0.2 s) taints nothing.
  DeviceUse End() override;

 private:
  struct Reading {
    int64_t now_ns = 0;
    int64_t busy_ticks = 0;
    int64_t own_cpu_ns = 0;
    int64_t involuntary_switches = 0;
    double mhz = 0;
  };
  Reading Read() const;

  CpuMonitorOptions options_;
  Clock* clock_;
  Device device_;
  Reading begin_;
};

// Peak resident memory of this process, bytes; 0 when the kernel does not tell.
int64_t PeakResidentBytes();
// Lets that peak begin anew at what is resident now; without effect where the kernel does not let it.
void ResetPeakResidentBytes();

}  // namespace uaqf::measure
