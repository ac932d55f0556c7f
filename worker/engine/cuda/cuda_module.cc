// The module's side of worker/engine/cuda/module.h.
#include "worker/engine/cuda/cuda_engine.h"
#include "worker/engine/cuda/gpu.h"
#include "worker/engine/cuda/module.h"

extern "C" __attribute__((visibility("default"))) const uaqf::engine::CudaModule* UaqfCudaModule() {
  static const uaqf::engine::CudaModule module = {
      uaqf::engine::CudaModuleBuild(), uaqf::engine::DescribeGpu,     uaqf::engine::CudaEngine::Create,
      uaqf::engine::ClearGpuCaches,    uaqf::engine::MeasureReadGbps, uaqf::engine::MeasureMatrixTflops,
  };
  return &module;
}
