// Finds and opens libuaqf_cuda.so.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "worker/engine/cuda/module.h"

namespace uaqf::engine {

// The module: $UAQF_CUDA_MODULE when that is set, else libuaqf_cuda.so beside the program. Opened by the first call,
// which must come before anything in the process asks libtorch about CUDA (it remembers a "no"), and never closed.
// Thread-safe. UNIMPLEMENTED: this build has none. FAILED_PRECONDITION: it cannot be loaded (the message names what is
// missing), or is of another build.
[[nodiscard]] absl::StatusOr<const CudaModule*> LoadCudaModule();

// The same for a file, every time anew; for tests.
[[nodiscard]] absl::StatusOr<const CudaModule*> OpenCudaModule(const std::string& path);

}  // namespace uaqf::engine
