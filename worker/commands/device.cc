#include "worker/commands/device.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/arithmetic.h"
#include "kernels/bandwidth.h"
#include "kernels/isa.h"
#include "kernels/thread_pool.h"
#include "spdlog/spdlog.h"
#include "worker/engine/cuda/loader.h"
#include "worker/engine/device_name.h"
#include "worker/measure/cpu_monitor.h"
#include "worker/measure/gpu_monitor.h"

namespace uaqf::commands {
namespace {

// Far more than any cache holds.
constexpr int64_t kReadBytes = 4'294'967'296;
constexpr double kMatrixSeconds = 2;
constexpr int kPasses = 5;

WatchedDevice WatchCpu(const std::vector<int>& cpus, double max_foreign_load, measure::Clock* clock) {
  measure::CpuMonitorOptions options{cpus, static_cast<int32_t>(cpus.size()),
                                     std::string(kernels::IsaName(kernels::ActiveIsa())), max_foreign_load};
  return {std::make_unique<measure::CpuMonitor>(std::move(options), clock), measure::PeakResidentBytes};
}

absl::StatusOr<WatchedDevice> WatchGpu(int ordinal, measure::Clock* clock) {
  const auto module = engine::LoadCudaModule();
  if (!module.ok()) return module.status();
  const auto gpu = (*module)->describe(ordinal);
  if (!gpu.ok()) return gpu.status();
  auto sensor = measure::OpenNvml(gpu->uuid);
  if (!sensor.ok()) spdlog::warn("{}", std::string(sensor.status().message()));
  measure::Device device;
  device.id = gpu->uuid;
  device.name = gpu->name;
  device.backend = "cuda";
  device.isa = gpu->compute_capability;
  device.memory_bytes = gpu->memory_bytes;
  device.driver = sensor.ok() ? (*sensor)->DriverVersion() : "";
  device.cuda = absl::StrCat(gpu->driver_version, ", built with ", gpu->runtime_version);
  const auto clear = [clear_caches = (*module)->clear_caches, ordinal] { return clear_caches(ordinal); };
  auto monitor = std::make_unique<measure::GpuMonitor>(std::move(device), sensor.ok() ? *std::move(sensor) : nullptr,
                                                       clear, clock);
  measure::GpuMonitor* const borrowed = monitor.get();
  return WatchedDevice{std::move(monitor), [borrowed] { return borrowed->PeakMemoryBytes(); }};
}

}  // namespace

absl::StatusOr<WatchedDevice> OpenDevice(const std::string& name, const std::vector<int>& cpus, double max_foreign_load,
                                         measure::Clock* clock) {
  const auto device = engine::ParseDevice(name);
  if (!device.ok()) return device.status();
  if (!device->cuda) return WatchCpu(cpus, max_foreign_load, clock);
  return WatchGpu(device->ordinal, clock);
}

absl::StatusOr<GpuLimits> MeasureGpuLimits(const std::string& name) {
  const auto device = engine::ParseDevice(name);
  if (!device.ok()) return device.status();
  const auto module = engine::LoadCudaModule();
  if (!module.ok()) return module.status();
  const auto read = (*module)->read_gbps(device->ordinal, kReadBytes);
  if (!read.ok()) return read.status();
  const auto matrix = (*module)->matrix_tflops(device->ordinal, kMatrixSeconds);
  if (!matrix.ok()) return matrix.status();
  return GpuLimits{*read, *matrix};
}

std::function<absl::StatusOr<measure::DeviceLimits>(int64_t bytes)> LimitsOf(const std::string& name,
                                                                             std::vector<int> cpus) {
  // A GPU's do not depend on what is hosted, and take seconds: once is enough.
  return [name, cpus = std::move(cpus), gpu = std::make_shared<std::optional<measure::DeviceLimits>>()](
             int64_t bytes) -> absl::StatusOr<measure::DeviceLimits> {
    const auto device = engine::ParseDevice(name);
    if (!device.ok()) return device.status();
    if (device->cuda) {
      if (gpu->has_value()) return **gpu;
      const auto limits = MeasureGpuLimits(name);
      if (!limits.ok()) return limits.status();
      return gpu->emplace(measure::DeviceLimits{limits->read_gbps * 1e9, limits->matrix_tflops * 1e12});
    }
    auto pool = kernels::ThreadPool::Create(cpus);
    if (!pool.ok()) return pool.status();
    return measure::DeviceLimits{kernels::MeasureReadGbps(bytes, kPasses, **pool) * 1e9,
                                 kernels::MeasureGflops(kPasses, **pool) * 1e9};
  };
}

}  // namespace uaqf::commands
