#include "worker/engine/cuda/torch_ops.h"

#include <ATen/Context.h>
#include <ATen/ops/_int_mm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace uaqf::engine::torch_ops {
namespace {

template <typename T>
at::Tensor Wrap(const T* data, at::ScalarType type, at::IntArrayRef sizes, at::IntArrayRef strides) {
  const auto device = at::Device(at::kCUDA, c10::cuda::current_device());
  return at::from_blob(const_cast<T*>(data), sizes, strides, at::TensorOptions().dtype(type).device(device));
}

at::Tensor InputOf(const Fp16Product& p) { return Wrap(p.in, at::kHalf, {p.tokens, p.cols}, {p.cols, 1}); }

// [cols, rows], as mm wants its second factor.
at::Tensor WeightsOf(const Fp16Product& p) {
  return Wrap(p.weights, at::kHalf, {p.cols, p.rows}, {1, p.weights_stride});
}

}  // namespace

struct StreamScope::State {
  c10::InferenceMode inference;
  c10::cuda::CUDAStreamGuard guard;
};

cudaStream_t NewStream(int ordinal) {
  // Before the first stream, or libtorch has no CUDA to ask.
  at::globalContext().lazyInitDevice(at::kCUDA);
  // Sums stay FP32 to the end.
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  return c10::cuda::getStreamFromPool(/*isHighPriority=*/false, static_cast<c10::DeviceIndex>(ordinal)).stream();
}

StreamScope::StreamScope(cudaStream_t stream, int ordinal)
    : state_(new State{c10::InferenceMode(), c10::cuda::CUDAStreamGuard(c10::cuda::getStreamFromExternal(
                                                 stream, static_cast<c10::DeviceIndex>(ordinal)))}) {}

StreamScope::~StreamScope() = default;

void Multiply(const Fp16Product& product, __half* out, int64_t out_stride) {
  at::Tensor result = Wrap(out, at::kHalf, {product.tokens, product.rows}, {out_stride, 1});
  at::mm_out(result, InputOf(product), WeightsOf(product));
}

void MultiplyToFloat(const Fp16Product& product, float* out) {
  at::Tensor result = Wrap(out, at::kFloat, {product.tokens, product.rows}, {product.rows, 1});
  at::mm_out(result, InputOf(product), WeightsOf(product), at::kFloat);
}

void MultiplyInt8(const int8_t* in, const int8_t* weights, int64_t tokens, int64_t rows, int64_t cols, int32_t* out) {
  at::Tensor result = Wrap(out, at::kInt, {tokens, rows}, {rows, 1});
  at::_int_mm_out(result, Wrap(in, at::kChar, {tokens, cols}, {cols, 1}),
                  Wrap(weights, at::kChar, {cols, rows}, {1, cols}));
}

}  // namespace uaqf::engine::torch_ops
