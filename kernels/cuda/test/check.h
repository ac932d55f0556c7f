// What the checks share: counting, comparing, host vectors on the device.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/status.h"

namespace uaqf::cuda {

inline int g_failures = 0;
inline int g_cases = 0;

inline void Report(bool pass, const std::string& name, double error, double limit) {
  ++g_cases;
  if (!pass) ++g_failures;
  std::printf("%s %s: error %.3g, limit %.3g\n", pass ? "PASS" : "FAIL", name.c_str(), error, limit);
}

// |out - ref| / |ref|; NaN in `out` gives infinity.
template <typename T>
double RelativeError(const std::vector<T>& out, const std::vector<double>& ref) {
  double difference = 0;
  double norm = 1e-30;
  for (size_t i = 0; i < ref.size(); ++i) {
    const double got = static_cast<double>(out[i]);
    if (!std::isfinite(got)) return INFINITY;
    difference += (got - ref[i]) * (got - ref[i]);
    norm += ref[i] * ref[i];
  }
  return std::sqrt(difference / norm);
}

template <typename T>
void ExpectNear(const std::string& name, const std::vector<T>& out, const std::vector<double>& ref, double limit) {
  const double error = RelativeError(out, ref);
  Report(error <= limit, name, error, limit);
}

inline bool ExpectOk(const std::string& name, const Status& status) {
  if (status.ok()) return true;
  ++g_cases;
  ++g_failures;
  std::printf("FAIL %s: %s\n", name.c_str(), status.message);
  return false;
}

// Device memory with the contents of a host vector.
template <typename T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : size_(values.size()) {
    if (cudaMalloc(&data_, size_ * sizeof(T) + 16) != cudaSuccess) std::abort();
    if (cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice) != cudaSuccess) std::abort();
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }
  T* get() const { return data_; }
  std::vector<T> Read() const { return ReadDevice(data_, size_); }

  static std::vector<T> ReadDevice(const T* data, size_t size) {
    std::vector<T> out(size);
    if (cudaMemcpy(out.data(), data, size * sizeof(T), cudaMemcpyDeviceToHost) != cudaSuccess) std::abort();
    return out;
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

// Reproducible numbers.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  uint32_t Bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return static_cast<uint32_t>(z >> 32);
  }
  float Uniform() { return static_cast<float>(Bits()) * 0x1p-31f - 1.0f; }
  // Bell-shaped, unit variance.
  float Normal() { return (Uniform() + Uniform() + Uniform()); }
  int Below(int n) { return static_cast<int>(Bits() % static_cast<uint32_t>(n)); }

 private:
  uint64_t state_;
};

// body(i) for i < count, on all processors.
void ParallelFor(int count, const std::function<void(int)>& body);

void CheckMatrices();
// kTiny is for sanitizers, which take a hundred times as long.
enum class Depth { kTiny, kQuick, kWhole };
void CheckDecode(Depth depth);
// Steps over quantized caches.
void CheckKvDecode(Depth depth);
// What a prefill writes into quantized caches, and reads of them.
void CheckKvPrefill();
void CheckPrefill();
void CheckInputs();
void CheckProducts();
// Steps of several sequences.
void CheckBatch();

}  // namespace uaqf::cuda
