#include "worker/engine/cuda/gpu.h"

#include <cuda_runtime.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/cuda/bandwidth.h"
#include "worker/engine/cuda/device_buffer.h"
#include "worker/engine/cuda/errors.h"
#include "worker/engine/cuda/make_weights.h"
#include "worker/engine/cuda/torch_ops.h"

namespace uaqf::engine {
namespace {

constexpr int kReadPasses = 20;
constexpr int64_t kCube = 8192;
// Products between two looks at the clock.
constexpr int kProducts = 8;

std::string VersionText(int version) { return absl::StrCat(version / 1000, ".", version % 1000 / 10); }

std::string UuidText(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppendFormat(&text, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

// Whether there is a driver that serves this runtime, and how many GPUs.
absl::StatusOr<int> CountGpus() {
  int driver = 0;
  int runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) runtime = CUDART_VERSION;
  if (driver == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("no NVIDIA driver on this machine (no libcuda.so.1); install one "
                     "for CUDA ",
                     VersionText(runtime), " or newer, or use the device cpu"));
  }
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaErrorInsufficientDriver || driver / 1000 < runtime / 1000) {
    return absl::FailedPreconditionError(absl::StrCat("the NVIDIA driver serves CUDA ", VersionText(driver),
                                                      ", expected ", VersionText(runtime),
                                                      " or newer; update the driver, or use the device cpu"));
  }
  if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0)) {
    return absl::NotFoundError(
        "the driver shows no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use the device cpu");
  }
  if (code != cudaSuccess) return ToStatus(code, "counting GPUs");
  return count;
}

absl::Status Use(int ordinal) { return ToStatus(cudaSetDevice(ordinal), absl::StrCat("cuda:", ordinal)); }

}  // namespace

absl::StatusOr<GpuInfo> DescribeGpu(int ordinal) {
  const absl::StatusOr<int> count = CountGpus();
  if (!count.ok()) return count.status();
  if (ordinal < 0 || ordinal >= *count) {
    return absl::NotFoundError(absl::StrCat("got device cuda:", ordinal, ", expected cuda:0 to cuda:", *count - 1,
                                            ", the GPUs of this machine"));
  }
  cudaDeviceProp properties = {};
  UAQF_RETURN_IF_ERROR(ToStatus(cudaGetDeviceProperties(&properties, ordinal), absl::StrCat("cuda:", ordinal)));
  if (properties.major != 8 && !(properties.major == 9 && properties.minor == 0)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "cuda:%d, %s, has compute capability %d.%d, expected 8.x or 9.0, which the kernels are built for; use another "
        "GPU, or build with another CMAKE_CUDA_ARCHITECTURES",
        ordinal, properties.name, properties.major, properties.minor));
  }
  int driver = 0;
  int runtime = 0;
  UAQF_RETURN_IF_ERROR(ToStatus(cudaDriverGetVersion(&driver), "the driver's version"));
  UAQF_RETURN_IF_ERROR(ToStatus(cudaRuntimeGetVersion(&runtime), "the runtime's version"));
  GpuInfo info;
  info.uuid = UuidText(properties.uuid);
  info.name = properties.name;
  info.compute_capability = absl::StrCat(properties.major, ".", properties.minor);
  info.driver_version = VersionText(driver);
  info.runtime_version = VersionText(runtime);
  info.memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  info.l2_bytes = properties.l2CacheSize;
  info.multiprocessors = properties.multiProcessorCount;
  return info;
}

absl::Status CheckFreeMemory(int64_t bytes, const std::string& what) {
  size_t free = 0;
  size_t total = 0;
  UAQF_RETURN_IF_ERROR(ToStatus(cudaMemGetInfo(&free, &total), "free memory of the GPU"));
  if (bytes <= static_cast<int64_t>(free)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("%s needs %d bytes (%.2f GB) of GPU memory, %d bytes (%.2f of %.2f GB) are free; use a smaller "
                      "variant or another "
                      "GPU",
                      what, bytes, static_cast<double>(bytes) / 1e9, free, static_cast<double>(free) / 1e9,
                      static_cast<double>(total) / 1e9));
}

absl::Status ClearGpuCaches(int ordinal) {
  auto info = DescribeGpu(ordinal);
  if (!info.ok()) return info.status();
  UAQF_RETURN_IF_ERROR(Use(ordinal));
  DeviceBuffer buffer;
  UAQF_RETURN_IF_ERROR(ToStatus(buffer.Allocate(std::max<int64_t>(4 * info->l2_bytes, 16 << 20)), "clearing caches"));
  UAQF_RETURN_IF_ERROR(
      ToStatus(cudaMemset(buffer.as<char>(), 1, static_cast<size_t>(buffer.bytes())), "clearing caches"));
  return ToStatus(cudaDeviceSynchronize(), "clearing caches");
}

absl::StatusOr<double> MeasureReadGbps(int ordinal, int64_t bytes) {
  UAQF_RETURN_IF_ERROR(Use(ordinal));
  UAQF_RETURN_IF_ERROR(CheckFreeMemory(bytes, "the buffer of the bandwidth measurement"));
  cuda::ReadBandwidth bandwidth;
  UAQF_RETURN_IF_ERROR(ToStatus(cuda::MeasureReadBandwidth(bytes, kReadPasses, nullptr, &bandwidth), "bandwidth"));
  return bandwidth.gbps;
}

absl::StatusOr<double> MeasureMatrixTflops(int ordinal, double seconds) {
  double tflops = 0;
  const absl::Status status = Guarded("matrix peak", [&]() -> absl::Status {
    const cudaStream_t stream = torch_ops::NewStream(ordinal);
    const torch_ops::StreamScope scope(stream, ordinal);
    DeviceBuffer a, b, c;
    for (DeviceBuffer* buffer : {&a, &b, &c}) {
      UAQF_RETURN_IF_ERROR(ToStatus(buffer->Allocate(kCube * kCube * 2), "matrix peak"));
    }
    // Random bits cost a multiplier more power than zeros.
    UAQF_RETURN_IF_ERROR(
        ToStatus(device::Fill({1, 0x1p-23F, 0}, 0, kCube * kCube, a.as<__half>(), stream), "matrix peak"));
    UAQF_RETURN_IF_ERROR(
        ToStatus(device::Fill({2, 0x1p-23F, 0}, 0, kCube * kCube, b.as<__half>(), stream), "matrix peak"));
    const auto products = [&] {
      for (int i = 0; i < kProducts; ++i) {
        torch_ops::Multiply({a.as<__half>(), b.as<__half>(), kCube, kCube, kCube, kCube}, c.as<__half>(), kCube);
      }
    };
    products();
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
    UAQF_RETURN_IF_ERROR(ToStatus(cudaEventCreate(&begin), "matrix peak"));
    UAQF_RETURN_IF_ERROR(ToStatus(cudaEventCreate(&end), "matrix peak"));
    UAQF_RETURN_IF_ERROR(ToStatus(cudaEventRecord(begin, stream), "matrix peak"));
    float ms = 0;
    int64_t done = 0;
    while (ms < seconds * 1e3) {
      products();
      done += kProducts;
      UAQF_RETURN_IF_ERROR(ToStatus(cudaEventRecord(end, stream), "matrix peak"));
      UAQF_RETURN_IF_ERROR(ToStatus(cudaEventSynchronize(end), "matrix peak"));
      UAQF_RETURN_IF_ERROR(ToStatus(cudaEventElapsedTime(&ms, begin, end), "matrix peak"));
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    const double cube = static_cast<double>(kCube) * kCube * kCube;
    tflops = 2 * cube * static_cast<double>(done) / (static_cast<double>(ms) * 1e-3) / 1e12;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return tflops;
}

}  // namespace uaqf::engine
