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
constexpr size_t kMostLooks = 4096;

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

GpuUse SummarizeGpu(std::span<const GpuState> looks, const GpuCounters& before, const GpuCounters& after,
                    int64_t own_pid, const std::string& worker_name) {
  GpuUse use;
  std::set<std::string> foreign;
  int64_t sm_mhz = 0;
  int64_t memory_mhz = 0;
  for (size_t i = 0; i < looks.size(); ++i) {
    const GpuState& state = looks[i];
    use.temperature_c = std::max(use.temperature_c, state.temperature_c);
    const bool own_listed = std::any_of(state.processes.begin(), state.processes.end(),
                                        [&](const GpuProcess& process) { return process.pid == own_pid; });
    for (const GpuProcess& process : state.processes) {
      if (!own_listed || process.pid == own_pid || process.name == worker_name) continue;
      foreign.insert(absl::StrCat(process.name.empty() ? "process" : process.name, " ", process.pid));
    }
    // Before its first item the GPU may still be asleep.
    if (i == 0) continue;
    use.slowdowns |= state.slowdowns & ~kGpuIdle;
    sm_mhz += state.sm_mhz;
    memory_mhz += state.memory_mhz;
  }
  const auto awake = static_cast<double>(looks.size() - 1);
  use.sm_mhz = static_cast<double>(sm_mhz) / awake;
  use.memory_mhz = static_cast<double>(memory_mhz) / awake;
  use.energy_mj = after.energy_mj - before.energy_mj;
  use.power_capped_ns = after.power_capped_ns - before.power_capped_ns;
  use.thermal_ns = after.thermal_ns - before.thermal_ns;
  use.ecc_corrected = after.ecc_corrected - before.ecc_corrected;
  use.ecc_uncorrected = after.ecc_uncorrected - before.ecc_uncorrected;
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
  GpuState state = sensor_->Look();
  for (const GpuProcess& process : state.processes) {
    if (process.pid == own_pid_) peak_bytes_ = std::max(peak_bytes_, process.bytes);
  }
  if (looks_.size() < kMostLooks) looks_.push_back(std::move(state));
}

void GpuMonitor::Begin() {
  looks_.clear();
  cleared_ = absl::OkStatus();
  begin_ns_ = clock_->NowNs();
  begin_switches_ = InvoluntarySwitches();
  if (sensor_ != nullptr) before_ = sensor_->Count();
  Look();
}

void GpuMonitor::BetweenItems() { Look(); }

DeviceUse GpuMonitor::End() {
  Look();
  DeviceUse use;
  use.wall_ns = clock_->NowNs() - begin_ns_;
  use.involuntary_switches = InvoluntarySwitches() - begin_switches_;
  if (!cleared_.ok()) use.taints.push_back(absl::StrCat("caches were not cleared: ", cleared_.message()));
  if (sensor_ == nullptr) return use;
  use.gpu = SummarizeGpu(looks_, before_, sensor_->Count(), own_pid_, kWorkerName);
  for (std::string& taint : TaintsOf(*use.gpu)) use.taints.push_back(std::move(taint));
  return use;
}

int64_t GpuMonitor::PeakMemoryBytes() {
  if (sensor_ != nullptr) {
    for (const GpuProcess& process : sensor_->Look().processes) {
      if (process.pid == own_pid_) peak_bytes_ = std::max(peak_bytes_, process.bytes);
    }
  }
  return peak_bytes_;
}

}  // namespace uaqf::measure
