// What a GPU says about itself. NVML's is opened at run time; tests have one that says what they want.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace uaqf::measure {

// A process that computes on the GPU.
struct GpuProcess {
  int64_t pid = 0;
  // Of /proc; empty when it cannot be seen from here.
  std::string name;
  // Device memory, bytes; 0 when the driver does not tell.
  int64_t bytes = 0;
};

// How it is now. What the GPU does not tell stays 0.
struct GpuState {
  int64_t sm_mhz = 0;
  int64_t memory_mhz = 0;
  // Why clocks are lower than they could be: NVML's bits, see gpu_monitor.h.
  uint64_t slowdowns = 0;
  int temperature_c = 0;
  std::vector<GpuProcess> processes;
};

// What it counts since the driver was loaded. What the GPU does not tell stays 0.
struct GpuCounters {
  int64_t energy_mj = 0;
  int64_t power_capped_ns = 0;
  int64_t thermal_ns = 0;
  int64_t ecc_corrected = 0;
  int64_t ecc_uncorrected = 0;
};

// Used from one thread.
class GpuSensor {
 public:
  virtual ~GpuSensor() = default;
  // Takes about 0.3 ms on an H200: never inside a timed region.
  virtual GpuState Look() = 0;
  // Takes about 6 ms there: not between the items of a chunk either, which are a few times that.
  virtual GpuCounters Count() = 0;
  // Version of the driver, "580.159.03"; empty when it does not tell.
  virtual std::string DriverVersion() = 0;
};

// By NVML (libnvidia-ml.so.1) for the GPU of this UUID. NOT_FOUND: no such library here, or it does not know the GPU;
// its evidence is then missing, which is no reason not to measure.
[[nodiscard]] absl::StatusOr<std::unique_ptr<GpuSensor>> OpenNvml(const std::string& uuid);

}  // namespace uaqf::measure
