#include "worker/engine/cuda/torch_ops.h"

#include <ATen/Context.h>
#include <ATen/ops/_flash_attention_forward.h>
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

Attended Attend(const AttentionInput& a) {
  const at::Tensor q =
      Wrap(a.q, at::kHalf, {1, a.tokens, a.heads, a.head_dim}, {a.tokens * a.q_stride, a.q_stride, a.head_dim, 1});
  const std::vector<int64_t> sizes = {1, a.seen, a.kv_heads, a.head_dim};
  const std::vector<int64_t> strides = {a.kv_heads * a.capacity * a.head_dim, a.head_dim, a.capacity * a.head_dim, 1};
  const bool windowed = a.window > 0 && a.window < a.seen;
  const std::optional<int64_t> left = windowed ? std::optional<int64_t>(a.window - 1) : std::nullopt;
  const std::optional<int64_t> right = windowed ? std::optional<int64_t>(0) : std::nullopt;
  auto result = at::_flash_attention_forward(q, Wrap(a.keys, at::kHalf, sizes, strides),
                                             Wrap(a.values, at::kHalf, sizes, strides), std::nullopt, std::nullopt,
                                             a.tokens, a.seen, /*dropout_p=*/0.0, /*is_causal=*/true,
                                             /*return_debug_mask=*/false, std::optional<double>(a.scale), left, right);
  auto owner = std::make_shared<at::Tensor>(std::get<0>(result).contiguous());
  const auto* data = static_cast<const __half*>(owner->const_data_ptr());
  return {std::move(owner), data};
}

}  // namespace uaqf::engine::torch_ops
