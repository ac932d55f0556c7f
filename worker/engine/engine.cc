#include "worker/engine/engine.h"

#include "absl/strings/str_cat.h"
#include "worker/engine/cpu_engine.h"
#include "worker/engine/cuda/loader.h"
#include "worker/engine/device_name.h"

namespace uaqf::engine {
namespace {

// Why a GPU cannot run it; empty when it can.
std::string MissingOnGpu(const quantize::Variant& variant) {
  using enum quantize::Method;
  if (variant.method == kCheckpoint) return "zeros, offsets and orders of columns of quantized releases";
  if (variant.method == kAwq) return "zeros, which AWQ's grids have; gptq-w4-g128 has none";
  if (variant.method == kGptq && variant.option("sym") == 0) return "zeros; with sym=1 there are none";
  if (variant.method == kGptq && variant.option("act-order") != 0 && variant.option("static-groups") == 0) {
    return "orders of columns; with static-groups=1 there are none";
  }
  if (variant.activation_bits == 4) return "INT4 activations";
  if (variant.activation_scope != quantize::ActivationScope::kToken) return "INT8 activations with one scale a tensor";
  if (variant.activation_bits == 8 && variant.group_size > 0) return "groups of weights beside INT8 activations";
  return "";
}

}  // namespace

absl::Status Engine::CheckVariant(const quantize::Variant& variant, const std::string& device) {
  const absl::StatusOr<DeviceName> parsed = ParseDevice(device);
  if (!parsed.ok()) return parsed.status();
  const std::string missing = parsed->cuda ? MissingOnGpu(variant) : "";
  if (missing.empty()) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(variant.name, ": the GPU has no kernels yet for ", missing, "; host it on the CPU (--device cpu)"));
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
