// GPUs as the CUDA runtime sees them, before anything is done with one.
#pragma once

#include "absl/status/statusor.h"
#include "worker/engine/cuda/module.h"

namespace uaqf::engine {

// As CudaModule's functions of these names.
[[nodiscard]] absl::StatusOr<GpuInfo> DescribeGpu(int ordinal);
[[nodiscard]] absl::Status ClearGpuCaches(int ordinal);
[[nodiscard]] absl::StatusOr<double> MeasureReadGbps(int ordinal, int64_t bytes);
[[nodiscard]] absl::StatusOr<double> MeasureMatrixTflops(int ordinal, double seconds);

// RESOURCE_EXHAUSTED with both figures unless the current device has `bytes` free for `what`.
[[nodiscard]] absl::Status CheckFreeMemory(int64_t bytes, const std::string& what);

}  // namespace uaqf::engine
