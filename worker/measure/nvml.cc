// NVML without its header, which is in no package that the build has: the few functions that are called, as its
// interface has had them since driver 510.
#include <dlfcn.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/measure/gpu_sensor.h"

namespace uaqf::measure {
namespace {

using Device = void*;
constexpr int kSuccess = 0;
constexpr int kClockSm = 1;
constexpr int kClockMemory = 2;
constexpr int kTemperatureGpu = 0;
constexpr int kEccCorrected = 0;
constexpr int kEccUncorrected = 1;
constexpr int kEccSinceDriverLoad = 0;
constexpr int kPolicyPower = 0;
constexpr int kPolicyThermal = 1;
constexpr unsigned kMostProcesses = 64;
constexpr unsigned long long kUnknownMemory = ~0ULL;

struct ProcessInfo {
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

struct ViolationTime {
  unsigned long long reference_us;
  unsigned long long violation_ns;
};

struct Functions {
  int (*init)() = nullptr;
  int (*handle_by_uuid)(const char*, Device*) = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*clock)(Device, int, unsigned*) = nullptr;
  int (*slowdowns)(Device, unsigned long long*) = nullptr;
  int (*energy)(Device, unsigned long long*) = nullptr;
  int (*temperature)(Device, int, unsigned*) = nullptr;
  int (*ecc)(Device, int, int, unsigned long long*) = nullptr;
  int (*violation)(Device, int, ViolationTime*) = nullptr;
  int (*processes)(Device, unsigned*, ProcessInfo*) = nullptr;
};

template <typename Function>
void Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
}

std::string ProcessName(unsigned pid) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(in, name);
  return name;
}

class Nvml final : public GpuSensor {
 public:
  Nvml(Functions functions, Device device) : f_(functions), device_(device) {}

  GpuState Look() override {
    GpuState state;
    state.sm_mhz = Ask([&](unsigned* mhz) { return f_.clock(device_, kClockSm, mhz); }, f_.clock);
    state.memory_mhz = Ask([&](unsigned* mhz) { return f_.clock(device_, kClockMemory, mhz); }, f_.clock);
    unsigned long long bits = 0;
    if (f_.slowdowns != nullptr && f_.slowdowns(device_, &bits) == kSuccess) state.slowdowns = bits;
    state.temperature_c = static_cast<int>(
        Ask([&](unsigned* degrees) { return f_.temperature(device_, kTemperatureGpu, degrees); }, f_.temperature));
    state.processes = Processes();
    return state;
  }

  GpuCounters Count() override {
    GpuCounters counters;
    unsigned long long energy = 0;
    if (f_.energy != nullptr && f_.energy(device_, &energy) == kSuccess) {
      counters.energy_mj = static_cast<int64_t>(energy);
    }
    counters.ecc_corrected = Ecc(kEccCorrected);
    counters.ecc_uncorrected = Ecc(kEccUncorrected);
    counters.power_capped_ns = Violation(kPolicyPower);
    counters.thermal_ns = Violation(kPolicyThermal);
    return counters;
  }

  std::string DriverVersion() override {
    char text[96] = "";
    if (f_.driver_version == nullptr || f_.driver_version(text, sizeof(text)) != kSuccess) return "";
    return text;
  }

 private:
  template <typename Call, typename Function>
  static int64_t Ask(const Call& call, Function function) {
    unsigned value = 0;
    return function != nullptr && call(&value) == kSuccess ? value : 0;
  }

  int64_t Ecc(int kind) const {
    unsigned long long errors = 0;
    if (f_.ecc == nullptr || f_.ecc(device_, kind, kEccSinceDriverLoad, &errors) != kSuccess) return 0;
    return static_cast<int64_t>(errors);
  }

  int64_t Violation(int policy) const {
    ViolationTime time = {};
    if (f_.violation == nullptr || f_.violation(device_, policy, &time) != kSuccess) return 0;
    return static_cast<int64_t>(time.violation_ns);
  }

  std::vector<GpuProcess> Processes() const {
    std::vector<GpuProcess> processes;
    ProcessInfo infos[kMostProcesses] = {};
    unsigned count = kMostProcesses;
    if (f_.processes == nullptr || f_.processes(device_, &count, infos) != kSuccess) return processes;
    for (unsigned i = 0; i < count; ++i) {
      const unsigned long long bytes = infos[i].used_memory == kUnknownMemory ? 0 : infos[i].used_memory;
      processes.push_back({infos[i].pid, ProcessName(infos[i].pid), static_cast<int64_t>(bytes)});
    }
    return processes;
  }

  const Functions f_;
  const Device device_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GpuSensor>> OpenNvml(const std::string& uuid) {
  // Never closed: NVML is one for the process.
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return absl::NotFoundError("no libnvidia-ml.so.1: no evidence of clocks, power and heat");
  Functions f;
  Find(library, "nvmlInit_v2", f.init);
  Find(library, "nvmlDeviceGetHandleByUUID", f.handle_by_uuid);
  Find(library, "nvmlSystemGetDriverVersion", f.driver_version);
  Find(library, "nvmlDeviceGetClockInfo", f.clock);
  Find(library, "nvmlDeviceGetCurrentClocksEventReasons", f.slowdowns);
  if (f.slowdowns == nullptr) Find(library, "nvmlDeviceGetCurrentClocksThrottleReasons", f.slowdowns);
  Find(library, "nvmlDeviceGetTotalEnergyConsumption", f.energy);
  Find(library, "nvmlDeviceGetTemperature", f.temperature);
  Find(library, "nvmlDeviceGetTotalEccErrors", f.ecc);
  Find(library, "nvmlDeviceGetViolationStatus", f.violation);
  Find(library, "nvmlDeviceGetComputeRunningProcesses_v3", f.processes);
  if (f.init == nullptr || f.handle_by_uuid == nullptr || f.init() != kSuccess) {
    return absl::NotFoundError("libnvidia-ml.so.1 does not start: no evidence of clocks, power and heat");
  }
  Device device = nullptr;
  if (f.handle_by_uuid(uuid.c_str(), &device) != kSuccess) {
    return absl::NotFoundError(
        absl::StrCat("NVML does not know the GPU ", uuid, ": no evidence of clocks, power and heat"));
  }
  return std::make_unique<Nvml>(f, device);
}

}  // namespace uaqf::measure
