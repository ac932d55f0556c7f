// Device memory and pinned host memory with an owner.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "kernels/cuda/status.h"

namespace uaqf::engine {

// A plain allocation of device memory. Movable.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  // Frees what was held, then allocates. Contents are undefined.
  [[nodiscard]] cuda::Status Allocate(int64_t bytes) {
    cudaFree(data_);
    data_ = nullptr;
    bytes_ = 0;
    UAQF_CUDA_RETURN(cudaMalloc(&data_, static_cast<size_t>(bytes)));
    bytes_ = bytes;
    return {};
  }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Host memory that the device can write. Not movable.
class MappedBuffer {
 public:
  MappedBuffer() = default;
  ~MappedBuffer() { cudaFreeHost(host_); }
  MappedBuffer(const MappedBuffer&) = delete;
  MappedBuffer& operator=(const MappedBuffer&) = delete;

  [[nodiscard]] cuda::Status Allocate(int64_t bytes) {
    UAQF_CUDA_RETURN(cudaHostAlloc(&host_, static_cast<size_t>(bytes), cudaHostAllocMapped));
    UAQF_CUDA_RETURN(cudaHostGetDevicePointer(&device_, host_, 0));
    return {};
  }
  template <typename T>
  T* host() const {
    return static_cast<T*>(host_);
  }
  template <typename T>
  T* device() const {
    return static_cast<T*>(device_);
  }

 private:
  void* host_ = nullptr;
  void* device_ = nullptr;
};

}  // namespace uaqf::engine
