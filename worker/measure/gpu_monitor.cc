#include "worker/measure/gpu_monitor.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace uaqf::measure {
namespace {

// Worker programs of ours, as the kernel names them.
constexpr char kWorkerName[] = "uaqf-worker";
// Shorter slowdowns by heat are noise of the counter.
constexpr int64_t kShortestThermalNs = 1'000'000;
// An attempt has many items; so many looks are enough to judge it by.
constexpr size_t kMostReadings = 4096;

struct SlowdownName {
  uint64_t bit;
  const char* name;
};
constexpr SlowdownName kSlowdowns[] = {
    {0x2, "application clocks"},
    {kPowerCap, "power cap"},
    {kHardwareSlowdown, "hardware slowdown"},
    {0x10, "sync boost"},
    {kThermalSoftware, "software thermal slowdown"},
    {kThermalHardware, "hardware thermal slowdown"},
    {kPowerBrake, "power brake"},
    {0x100, "display clocks"},
};
constexpr uint64_t kFromOutside = kHardwareSlowdown | kThermalSoftware | kThermalHardware | kPowerBrake;

int64_t InvoluntarySwitches() {
  rusage usage = {};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

}  // namespace

std::vector<std::string> SlowdownNames(uint64_t bits) {
  std::vector<std::string> names;
  bits &= ~kGpuIdle;
  for (const SlowdownName& known : kSlowdowns) {
    if ((bits & known.bit) != 0) names.emplace_back(known.name);
    bits &= ~known.bit;
  }
  if (bits != 0) names.push_back(absl::StrFormat("0x%x", bits));
  return names;
}

GpuUse SummarizeGpu(std::span<const GpuReading> readings, int64_t own_pid, const std::string& worker_name) {
  GpuUse use;
  const GpuReading& first = readings.front();
  const GpuReading& last = readings.back();
  std::set<std::string> foreign;
  int64_t sm_mhz = 0;
  int64_t memory_mhz = 0;
  for (size_t i = 0; i < readings.size(); ++i) {
    const GpuReading& reading = readings[i];
    use.temperature_c = std::max(use.temperature_c, reading.temperature_c);
    const bool own_listed = std::any_of(reading.processes.begin(), reading.processes.end(),
                                        [&](const GpuProcess& process) { return process.pid == own_pid; });
    for (const GpuProcess& process : reading.processes) {
      if (!own_listed || process.pid == own_pid || process.name == worker_name) continue;
      foreign.insert(absl::StrCat(process.name.empty() ? "process" : process.name, " ", process.pid));
    }
    // Before its first item the GPU may still be asleep.
    if (i == 0) continue;
    use.slowdowns |= reading.slowdowns & ~kGpuIdle;
    sm_mhz += reading.sm_mhz;
    memory_mhz += reading.memory_mhz;
  }
  const auto looks = static_cast<double>(readings.size() - 1);
  use.sm_mhz = static_cast<double>(sm_mhz) / looks;
  use.memory_mhz = static_cast<double>(memory_mhz) / looks;
  use.energy_mj = last.energy_mj - first.energy_mj;
  use.power_capped_ns = last.power_capped_ns - first.power_capped_ns;
  use.thermal_ns = last.thermal_ns - first.thermal_ns;
  use.ecc_corrected = last.ecc_corrected - first.ecc_corrected;
  use.ecc_uncorrected = last.ecc_uncorrected - first.ecc_uncorrected;
  use.foreign_processes.assign(foreign.begin(), foreign.end());
  return use;
}

std::vector<std::string> TaintsOf(const GpuUse& use) {
  std::vector<std::string> taints;
  if (!use.foreign_processes.empty()) {
    taints.push_back(absl::StrCat("other processes computed on the GPU: ", absl::StrJoin(use.foreign_processes, ", ")));
  }
  if ((use.slowdowns & kFromOutside) != 0) {
    taints.push_back(
        absl::StrCat("the GPU was slowed down: ", absl::StrJoin(SlowdownNames(use.slowdowns & kFromOutside), ", ")));
  }
  if (use.thermal_ns >= kShortestThermalNs) {
    taints.push_back(absl::StrFormat("the GPU was slowed down by heat for %.0f ms, at most %d C seen",
                                     static_cast<double>(use.thermal_ns) / 1e6, use.temperature_c));
  }
  if (use.ecc_uncorrected > 0) {
    taints.push_back(absl::StrCat(use.ecc_uncorrected, " uncorrected ECC errors in the GPU's memory"));
  }
  return taints;
}

GpuMonitor::GpuMonitor(Device device, std::unique_ptr<GpuSensor> sensor, std::function<absl::Status()> clear_caches,
                       Clock* clock)
    : device_(std::move(device)),
      sensor_(std::move(sensor)),
      clear_caches_(std::move(clear_caches)),
      clock_(clock),
      own_pid_(getpid()) {}

void GpuMonitor::ClearCaches() { cleared_ = clear_caches_(); }

void GpuMonitor::Look() {
  if (sensor_ == nullptr) return;
  GpuReading reading = sensor_->Read();
  for (const GpuProcess& process : reading.processes) {
    if (process.pid == own_pid_) peak_bytes_ = std::max(peak_bytes_, process.bytes);
  }
  // The first and the last carry the counters.
  if (readings_.size() == kMostReadings) readings_.pop_back();
  readings_.push_back(std::move(reading));
}

void GpuMonitor::Begin() {
  readings_.clear();
  cleared_ = absl::OkStatus();
  begin_ns_ = clock_->NowNs();
  begin_switches_ = InvoluntarySwitches();
  Look();
}

void GpuMonitor::BetweenItems() { Look(); }

DeviceUse GpuMonitor::End() {
  Look();
  DeviceUse use;
  use.wall_ns = clock_->NowNs() - begin_ns_;
  use.involuntary_switches = InvoluntarySwitches() - begin_switches_;
  if (!cleared_.ok()) use.taints.push_back(absl::StrCat("caches were not cleared: ", cleared_.message()));
  if (readings_.size() < 2) return use;
  use.gpu = SummarizeGpu(readings_, own_pid_, kWorkerName);
  for (std::string& taint : TaintsOf(*use.gpu)) use.taints.push_back(std::move(taint));
  return use;
}

int64_t GpuMonitor::PeakMemoryBytes() {
  if (sensor_ != nullptr) {
    for (const GpuProcess& process : sensor_->Read().processes) {
      if (process.pid == own_pid_) peak_bytes_ = std::max(peak_bytes_, process.bytes);
    }
  }
  return peak_bytes_;
}

}  // namespace uaqf::measure
