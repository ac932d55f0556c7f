// What libtorch does for us, behind plain pointers: only torch_ops.cc sees ATen's headers. Functions throw as libtorch
// does (call them inside Guarded) and run on the stream of the StreamScope that is alive.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <memory>

namespace uaqf::engine::torch_ops {

// A stream of libtorch's own pool: its allocator and libraries know it. Lives as long as the process.
cudaStream_t NewStream(int ordinal);

// While it lives, the device and libtorch's current stream are these, on this thread.
class StreamScope {
 public:
  StreamScope(cudaStream_t stream, int ordinal);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// out[t, r] = sum over c of in[t, c] * weights[r, c], FP32 sums; `in` is contiguous, the strides are elements from one
// row to the next.
struct Fp16Product {
  const __half* in;
  const __half* weights;
  int64_t weights_stride;
  int64_t tokens, rows, cols;
};
void Multiply(const Fp16Product& product, __half* out, int64_t out_stride);
// The same with FP32 results, contiguous.
void MultiplyToFloat(const Fp16Product& product, float* out);

// Exact sums, contiguous [tokens, rows]. tokens > 16, rows and cols multiples of 8.
void MultiplyInt8(const int8_t* in, const int8_t* weights, int64_t tokens, int64_t rows, int64_t cols, int32_t* out);

}  // namespace uaqf::engine::torch_ops
