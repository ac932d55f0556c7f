// Time on the device between two points of a stream.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace uaqf::engine {

// Two events on the stream.
class Stopwatch {
 public:
  Stopwatch() {
    cudaEventCreate(&begin_);
    cudaEventCreate(&end_);
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void Begin(cudaStream_t stream) { cudaEventRecord(begin_, stream); }
  void End(cudaStream_t stream) { cudaEventRecord(end_, stream); }
  int64_t Nanoseconds() const {
    float ms = 0;
    return cudaEventElapsedTime(&ms, begin_, end_) == cudaSuccess ? static_cast<int64_t>(ms * 1e6) : 0;
  }

 private:
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

}  // namespace uaqf::engine
