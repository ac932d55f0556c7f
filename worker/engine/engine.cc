#include "worker/engine/engine.h"

#include "absl/strings/str_cat.h"
#include "worker/engine/cpu_engine.h"
#include "worker/engine/cuda/loader.h"
#include "worker/engine/device_name.h"

namespace uaqf::engine {

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const model::Checkpoint& checkpoint,
                                                       const quantize::Variant& variant, const EngineOptions& options) {
  const absl::StatusOr<DeviceName> device = ParseDevice(options.device);
  if (!device.ok()) return device.status();
  if (quantize::NeedsCalibration(variant) && options.blocks == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(variant.name, " needs calibration: make its artifact first"));
  }
  if (!device->cuda) return CpuEngine::Create(checkpoint, variant, options);
  if (quantize::NeedsCalibration(variant) || variant.method == quantize::Method::kZeroQuant) {
    return absl::UnimplementedError(absl::StrCat(variant.name, " is not computed on a GPU yet; use --device cpu"));
  }
  if (variant.method == quantize::Method::kCheckpoint) {
    return absl::UnimplementedError(absl::StrCat(checkpoint.path(),
                                                 ": the GPU has no kernels yet for the zeros, offsets and orders of "
                                                 "columns of quantized releases; host it on the CPU (--device cpu)"));
  }
  const absl::StatusOr<const CudaModule*> module = LoadCudaModule();
  if (!module.ok()) return module.status();
  return (*module)->create_engine(checkpoint, variant, options, device->ordinal);
}

}  // namespace uaqf::engine
