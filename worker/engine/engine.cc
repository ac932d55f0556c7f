#include "worker/engine/engine.h"

#include "absl/strings/str_cat.h"
#include "worker/engine/cpu_engine.h"
#include "worker/engine/cuda/device_form.h"
#include "worker/engine/cuda/loader.h"
#include "worker/engine/device_name.h"

namespace uaqf::engine {

absl::Status Engine::CheckVariant(const quantize::Variant& variant, const std::string& device) {
  const absl::StatusOr<DeviceName> parsed = ParseDevice(device);
  if (!parsed.ok()) return parsed.status();
  // What a release has is seen when it is opened.
  if (!parsed->cuda || variant.method == quantize::Method::kCheckpoint) return absl::OkStatus();
  return DeviceFormOf(variant).status();
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const model::Checkpoint& checkpoint,
                                                       const quantize::Variant& variant, const EngineOptions& options) {
  const absl::StatusOr<DeviceName> device = ParseDevice(options.device);
  if (!device.ok()) return device.status();
  if (quantize::NeedsCalibration(variant) && options.blocks == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(variant.name, " needs calibration: make its artifact first"));
  }
  if (!device->cuda) return CpuEngine::Create(checkpoint, variant, options);
  if (absl::Status can = CheckVariant(variant, options.device); !can.ok()) return can;
  const absl::StatusOr<const CudaModule*> module = LoadCudaModule();
  if (!module.ok()) return module.status();
  return (*module)->create_engine(checkpoint, variant, options, device->ordinal);
}

}  // namespace uaqf::engine
