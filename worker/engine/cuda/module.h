// What the worker and libuaqf_cuda.so know of each other. The module links CUDA and libtorch; the worker links neither,
// so that one build runs on machines without a GPU. Both sides are of one build, which `build` proves before anything
// else is called: then C++ types may cross.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/engine/engine.h"

namespace uaqf::engine {

// A GPU as the driver describes it.
struct GpuInfo {
  std::string uuid;  // "GPU-c0ffee00-..."
  std::string name;
  std::string compute_capability;  // "9.0"
  std::string driver_version;      // of the CUDA interface: "13.0"
  std::string runtime_version;     // that the module was built with: "13.0"
  int64_t memory_bytes = 0;
  int64_t l2_bytes = 0;
  int multiprocessors = 0;
};

// Functions of the module. Each may be called from one thread at a time; `ordinal` is the GPU.
struct CudaModule {
  const char* build;
  // FAILED_PRECONDITION: no driver, one that is too old (got, needed), or a GPU that the kernels were not built for.
  // NOT_FOUND: no GPU, or none of this ordinal.
  absl::StatusOr<GpuInfo> (*describe)(int ordinal);
  // As Engine::Create.
  absl::StatusOr<std::unique_ptr<Engine>> (*create_engine)(const model::Checkpoint& checkpoint,
                                                           const quantize::Variant& variant,
                                                           const EngineOptions& options, int ordinal);
  // Writes more memory than the L2 cache holds, and waits.
  absl::Status (*clear_caches)(int ordinal);
  // What the memory gives to a kernel that only reads, at its best grid, 1e9 bytes/s over `bytes` (at least 4e9).
  absl::StatusOr<double> (*read_gbps)(int ordinal, int64_t bytes);
  // FP16 matrix product with FP32 sums, 8192 cubed, random data, sustained for `seconds`: 1e12 operations/s.
  absl::StatusOr<double> (*matrix_tflops)(int ordinal, double seconds);
};

// The module's one exported symbol, and its type.
inline constexpr char kCudaModuleSymbol[] = "UaqfCudaModule";
using CudaModuleFunction = const CudaModule* (*)();

// The version, and a digest of the headers that both sides compile.
const char* CudaModuleBuild();

}  // namespace uaqf::engine
