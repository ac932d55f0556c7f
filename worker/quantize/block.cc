#include "worker/quantize/block.h"

#include <cmath>

#include "kernels/thread_pool.h"
#include "worker/model/rope_table.h"
#include "worker/quantize/pack.h"

namespace uaqf::quantize {
namespace {

// The tensor's rows in FP32, rounded to FP16 where `rounded`.
absl::StatusOr<at::Tensor> ReadTensor(const model::Checkpoint& checkpoint, const std::string& name, bool rounded,
                                      at::Device device) {
  const absl::StatusOr<model::TensorInfo> info = checkpoint.Find(name);
  if (!info.ok()) return info.status();
  at::Tensor values = at::empty({info->rows, info->columns}, at::kFloat);
  const std::span<float> out(values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel()));
  absl::Status status = checkpoint.ReadRows(name, 0, info->rows, out);
  if (status.ok() && rounded) status = RoundToFp16(out, *kernels::ThreadPool::CreateUnpinned(1));
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
  return values.to(device);
}

at::Tensor Apply(const Layer& layer, const at::Tensor& x) {
  const at::Tensor y = at::matmul(x, layer.weight.t());
  return layer.bias.defined() ? y + layer.bias : y;
}

}  // namespace

Site SiteOf(Projection projection) {
  switch (projection) {
    case Projection::kO:
      return Site::kOutput;
    case Projection::kGate:
    case Projection::kUp:
      return Site::kMlp;
    case Projection::kDown:
      return Site::kDown;
    default:
      return Site::kQkv;
  }
}

std::string_view SiteName(Site site) {
  constexpr std::string_view kNames[kSites] = {"q_proj, k_proj, v_proj", "o_proj", "gate_proj, up_proj", "down_proj"};
  return kNames[static_cast<size_t>(site)];
}

absl::StatusOr<Block> LoadBlock(const model::Checkpoint& checkpoint, int64_t index, at::Device device) {
  const std::string prefix = absl::StrCat("model.layers.", index, ".");
  Block block;
  for (const auto& [name, norm] : {std::pair("input_layernorm.weight", &block.attention_norm),
                                   std::pair("post_attention_layernorm.weight", &block.mlp_norm)}) {
    auto values = ReadTensor(checkpoint, prefix + name, /*rounded=*/false, device);
    if (!values.ok()) return values.status();
    *norm = values->flatten();
  }
  for (size_t i = 0; i < kProjections; ++i) {
    const std::string name = absl::StrCat(prefix, std::string(ProjectionName(static_cast<Projection>(i))));
    auto weight = ReadTensor(checkpoint, name + ".weight", /*rounded=*/true, device);
    if (!weight.ok()) return weight.status();
    block.layers[i].weight = *std::move(weight);
    if (!checkpoint.Find(name + ".bias").ok()) continue;
    auto bias = ReadTensor(checkpoint, name + ".bias", /*rounded=*/false, device);
    if (!bias.ok()) return bias.status();
    block.layers[i].bias = bias->flatten();
  }
  return block;
}

absl::StatusOr<at::Tensor> Embed(const model::Checkpoint& checkpoint, std::span<const int32_t> ids, at::Device device) {
  const int64_t hidden = checkpoint.config().hidden;
  at::Tensor rows = at::empty({static_cast<int64_t>(ids.size()), hidden}, at::kFloat);
  const std::span<float> all(rows.mutable_data_ptr<float>(), ids.size() * static_cast<size_t>(hidden));
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto row = all.subspan(i * static_cast<size_t>(hidden), static_cast<size_t>(hidden));
    absl::Status status = checkpoint.ReadRows("model.embed_tokens.weight", ids[i], 1, row);
    if (!status.ok()) return status;
  }
  return rows.to(at::kHalf).to(device, at::kFloat);
}

Block Dequantized(const QuantizedBlock& quantized, at::Device device) {
  Block block;
  const auto vector = [&](const std::vector<float>& values) {
    return FromFloats(values, {static_cast<int64_t>(values.size())}, device);
  };
  block.attention_norm = vector(quantized.attention_norm);
  block.mlp_norm = vector(quantized.mlp_norm);
  for (size_t i = 0; i < kProjections; ++i) {
    block.layers[i].weight = Dequantized(quantized.matrices[i], device);
    if (!quantized.biases[i].empty()) block.layers[i].bias = vector(quantized.biases[i]);
  }
  return block;
}

BlockFunction::BlockFunction(const model::ModelConfig& config, int64_t tokens, at::Device device) : config_(config) {
  const model::RopeTable rope(config.rope, config.head_dim, tokens);
  const int64_t half = config.head_dim / 2;
  const auto values = static_cast<size_t>(tokens * half);
  cos_ = FromFloats({rope.cos(0), values}, {tokens, half}, device);
  sin_ = FromFloats({rope.sin(0), values}, {tokens, half}, device);
  if (config.sliding_window > 0 && config.sliding_window < tokens) {
    const at::Tensor position = at::arange(tokens, at::TensorOptions().device(device));
    const at::Tensor distance = position.unsqueeze(1) - position.unsqueeze(0);
    mask_ = (distance >= 0).logical_and(distance < config.sliding_window);
  }
}

at::Tensor BlockFunction::Norm(const at::Tensor& weight, const at::Tensor& hidden) const {
  return hidden * at::rsqrt(hidden.square().mean(-1, /*keepdim=*/true) + config_.rms_eps) * weight;
}

// `heads` is [tokens, heads, head_dim].
at::Tensor BlockFunction::Rotate(const at::Tensor& heads) const {
  const at::Tensor cos = cos_.slice(0, 0, heads.size(0)).unsqueeze(1);
  const at::Tensor sin = sin_.slice(0, 0, heads.size(0)).unsqueeze(1);
  const std::vector<at::Tensor> halves = heads.chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

at::Tensor BlockFunction::Attention(const Block& block, const at::Tensor& normed, const Hook& hook) const {
  const at::Tensor x = hook(Site::kQkv, normed);
  const int64_t tokens = x.size(0);
  const auto heads = [&](Projection projection, int64_t count) {
    return Apply(block.at(projection), x).view({tokens, count, config_.head_dim});
  };
  const int64_t shared = config_.heads / config_.kv_heads;
  const auto batched = [](const at::Tensor& t) { return t.transpose(0, 1).unsqueeze(0); };
  const at::Tensor q = batched(Rotate(heads(Projection::kQ, config_.heads)));
  const at::Tensor k = batched(Rotate(heads(Projection::kK, config_.kv_heads))).repeat_interleave(shared, 1);
  const at::Tensor v = batched(heads(Projection::kV, config_.kv_heads)).repeat_interleave(shared, 1);
  const bool windowed = mask_.defined();
  std::optional<at::Tensor> mask;
  if (windowed) mask = mask_.slice(0, 0, tokens).slice(1, 0, tokens);
  const at::Tensor attended = at::scaled_dot_product_attention(q, k, v, mask, 0.0, /*is_causal=*/!windowed);
  return Apply(block.at(Projection::kO), hook(Site::kOutput, attended.squeeze(0).transpose(0, 1).flatten(1)));
}

at::Tensor BlockFunction::Mlp(const Block& block, const at::Tensor& normed, const Hook& hook) const {
  const at::Tensor x = hook(Site::kMlp, normed);
  const at::Tensor product = at::silu(Apply(block.at(Projection::kGate), x)) * Apply(block.at(Projection::kUp), x);
  return Apply(block.at(Projection::kDown), hook(Site::kDown, product));
}

at::Tensor BlockFunction::Run(const Block& block, const at::Tensor& hidden, const Hook& hook) const {
  const at::Tensor middle = hidden + Attention(block, Norm(block.attention_norm, hidden), hook);
  return middle + Mlp(block, Norm(block.mlp_norm, middle), hook);
}

}  // namespace uaqf::quantize
