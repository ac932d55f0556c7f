// One transformer block in FP32 on libtorch tensors: what calibration runs, on any device.
#pragma once

#include <array>
#include <functional>

#include "worker/model/checkpoint.h"
#include "worker/quantize/tensors.h"

namespace uaqf::quantize {

// Where activations enter linear layers: q, k and v read kQkv; o kOutput; gate and up kMlp; down kDown.
enum class Site { kQkv, kOutput, kMlp, kDown };
constexpr size_t kSites = 4;
Site SiteOf(Projection projection);
std::string_view SiteName(Site site);

struct Layer {
  at::Tensor weight;  // [rows, columns]
  at::Tensor bias;    // [rows], or undefined
};

struct Block {
  at::Tensor attention_norm;
  at::Tensor mlp_norm;
  std::array<Layer, kProjections> layers;

  Layer& at(Projection projection) { return layers[static_cast<size_t>(projection)]; }
  const Layer& at(Projection projection) const { return layers[static_cast<size_t>(projection)]; }
};

// Reads block `index` with its weights rounded to FP16, as the baseline has them. Errors name the tensor.
absl::StatusOr<Block> LoadBlock(const model::Checkpoint& checkpoint, int64_t index, at::Device device);
// Rows of the embedding for tokens, rounded to FP16: [tokens, hidden].
absl::StatusOr<at::Tensor> Embed(const model::Checkpoint& checkpoint, std::span<const int32_t> ids, at::Device device);

// The block that a quantized one computes with, activations aside.
Block Dequantized(const QuantizedBlock& quantized, at::Device device);

// The model's block as a function. Tensors are [tokens, width]: of one sample that begins at position 0, or of several
// that have as many tokens as the constructor was told, one after the other.
class BlockFunction {
 public:
  // Sees what enters linear layers; returns what they are to read instead.
  using Hook = std::function<at::Tensor(Site, const at::Tensor& x)>;

  BlockFunction(const model::ModelConfig& config, int64_t tokens, at::Device device);

  // The residual stream after the block.
  at::Tensor Run(const Block& block, const at::Tensor& hidden, const Hook& hook) const;
  // The parts: what attention (o_proj included) or MLP add to the stream, from the normed stream.
  at::Tensor Attention(const Block& block, const at::Tensor& normed, const Hook& hook) const;
  at::Tensor Mlp(const Block& block, const at::Tensor& normed, const Hook& hook) const;
  at::Tensor Norm(const at::Tensor& weight, const at::Tensor& hidden) const;
  // Parts of those: what o_proj reads, from what q, k and v read; what down_proj reads, from what gate and up read.
  at::Tensor Attend(const Block& block, const at::Tensor& x) const;
  at::Tensor Gated(const Block& block, const at::Tensor& x) const;

 private:
  at::Tensor Rotate(const at::Tensor& heads) const;

  const model::ModelConfig config_;
  const int64_t tokens_;
  at::Tensor cos_;  // [tokens, head_dim / 2]
  at::Tensor sin_;
  at::Tensor mask_;  // [tokens, tokens], true where a token sees another; undefined without a sliding window
};

// What a linear layer makes of x.
at::Tensor Product(const Layer& layer, const at::Tensor& x);

// The hook that changes nothing.
inline at::Tensor Untouched(Site, const at::Tensor& x) { return x; }

}  // namespace uaqf::quantize
