// Many tokens at once through all layers: products of FP16 weights by libtorch, the rest by our own kernels.
// Activations are FP16, the residual stream FP32. On sm_90 integer weights are multiplied as they are packed, by our
// own kernel; on older devices weight-only variants are brought back to FP16 tile by tile, and INT8 activations
// multiply unpacked codes. What a layer's input asks for beside that (another order, rounded groups, one scale for many
// tokens) is a pass of its own before the product, on sm_90 only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/cuda/kv_cache.h"
#include "kernels/cuda/prefill_product.h"
#include "worker/engine/cuda/cuda_weights.h"
#include "worker/engine/cuda/device_buffer.h"
#include "worker/model/model_config.h"

namespace uaqf::engine {

// What prefill and decode share; borrowed device memory.
struct CudaTables {
  const float* rope_cos = nullptr;  // [capacity][head_dim / 2]
  const float* rope_sin = nullptr;
  uint8_t* cache = nullptr;  // [layer][keys, values][sequence], each of KvCacheBytes(kv)
  int64_t sequences = 1;
  cuda::KvShape kv;
};

// Everything runs on `stream`, inside a StreamScope of the caller. Throws as libtorch does.
class Prefill {
 public:
  // Most tokens that go through the layers together.
  static constexpr int64_t kMostTokens = 1024;

  // `weights`, of the variant, is borrowed. Allocates the workspace. UNIMPLEMENTED when the device is too old for what
  // enters the variant's layers.
  static absl::StatusOr<std::unique_ptr<Prefill>> Create(const model::ModelConfig& config,
                                                         const quantize::Variant& variant, const CudaWeights& weights,
                                                         const CudaTables& tables, cudaStream_t stream);

  // Tokens at [position, position + ids.size()) of a sequence, at most tokens() of them; their residual streams stay
  // here.
  absl::Status Forward(std::span<const int32_t> ids, int64_t position, int64_t sequence = 0);
  // FP32 logits [vocab] of token `index` of the last Forward.
  absl::Status Logits(int64_t index, float* logits);
  // Appends -log p(targets[i] | tokens up to i of the last Forward), and waits for it.
  absl::Status Score(std::span<const int32_t> targets, std::vector<double>& nll);
  // Positions whose logits exist at one time: 64 x 128k vocabulary entries are 33 MB.
  static constexpr int64_t kLogitsTokens = 64;
  // Prepares the first `count` tokens of the last Forward for LogitsOf.
  absl::Status NormForLogits(int64_t count);
  // FP32 logits [count][vocab] of tokens first .. first + count - 1, at most kLogitsTokens, in device memory; valid
  // until the next call.
  const float* LogitsOf(int64_t first, int64_t count);

  int64_t tokens() const { return tokens_; }
  int64_t bytes() const;

 private:
  Prefill(const model::ModelConfig& config, const quantize::Variant& variant, const CudaWeights& weights,
          const CudaTables& tables, cudaStream_t stream);
  absl::Status Allocate();
  absl::Status UploadScales();
  // Whether every product can take the packed weights.
  bool CanStage() const;
  // Whether the input of layers is made in two passes, see above.
  bool NeedsTwoPasses() const;
  absl::Status Layer(int64_t index, int64_t tokens, int64_t position, int64_t sequence);
  // The second pass: FP16 rows to what the product `which` (in the order of a layer's products) of the layer reads.
  cuda::Status Prepare(const __half* rows, int64_t width, int64_t index, int which, int64_t tokens);
  // From the rows of the product in wide_ to attended_; writes the cache.
  cuda::Status Attend(int64_t index, int tokens, int position, int64_t sequence);
  // out [tokens, rows] FP16. The input is narrow_ (FP16) or codes_, which has been filled for this width.
  cuda::Status Multiply(const cuda::DeviceMatrix& matrix, int64_t tokens, const __half* in, __half* out);
  // Straight from the packed weights, with staged_: the input is narrow_ or codes_.
  cuda::Status MultiplyPacked(const cuda::DeviceMatrix& matrix, int64_t tokens, const cuda::ProductTarget& target);
  cuda::Status MultiplyTiles(const cuda::DeviceMatrix& matrix, int64_t tokens, const __half* in, __half* out);
  cuda::Status MultiplyCodes(const cuda::DeviceMatrix& matrix, int64_t tokens, __half* out);

  const model::ModelConfig config_;
  const bool int8_;
  const quantize::ActivationScope scope_;
  const CudaWeights& weights_;
  const CudaTables tables_;
  const cudaStream_t stream_;
  const int64_t tokens_;
  bool staged_ = false;
  bool two_passes_ = false;
  DeviceBuffer input_scales_;  // [layer][product]: FP32, of INT8 activations with one scale
  DeviceBuffer ids_, residual_, narrow_, wide_, attended_, codes_, token_scales_, tile_, sums_, scratch_;
  DeviceBuffer plain_cache_;  // beside a quantized cache: keys and values of the layer that is computed, FP16
  DeviceBuffer many_logits_;  // made when first asked for
  DeviceBuffer score_targets_, score_nll_;
};

}  // namespace uaqf::engine
