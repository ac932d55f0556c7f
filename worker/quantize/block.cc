#include "worker/quantize/block.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "kernels/thread_pool.h"
#include "worker/model/rope_table.h"
#include "worker/quantize/pack.h"

namespace uaqf::quantize {
namespace {

// Values that a thread reads at a time: enough to be worth it, few enough for all threads to have some.
constexpr int64_t kValuesAtOnce = 1 << 20;

// Calls body(begin, end) for parts of [0, count); the first of its errors, if any.
template <typename Body>
absl::Status InParallel(int64_t count, int64_t grain, const Body& body) {
  std::mutex mutex;
  absl::Status status;
  at::parallel_for(0, count, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
    absl::Status part = body(begin, end);
    const std::lock_guard<std::mutex> lock(mutex);
    status.Update(part);
  });
  return status;
}

// The tensor's rows in FP32, rounded to FP16 where `rounded`.
absl::StatusOr<at::Tensor> ReadTensor(const model::Checkpoint& checkpoint, const std::string& name, bool rounded,
                                      at::Device device) {
  const absl::StatusOr<model::TensorInfo> info = checkpoint.Find(name);
  if (!info.ok()) return info.status();
  const int64_t columns = info->columns;
  at::Tensor values = at::empty({info->rows, columns}, at::kFloat);
  float* all = values.mutable_data_ptr<float>();
  const absl::Status status = InParallel(info->rows, kValuesAtOnce / columns, [&](int64_t begin, int64_t end) {
    const std::span<float> own(all + begin * columns, static_cast<size_t>((end - begin) * columns));
    absl::Status read = checkpoint.ReadRows(name, begin, end - begin, own);
    if (read.ok() && rounded) read = RoundToFp16(own, *kernels::ThreadPool::CreateUnpinned(1));
    return read;
  });
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
  return values.to(device);
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
  float* all = rows.mutable_data_ptr<float>();
  absl::Status status = InParallel(rows.size(0), kValuesAtOnce / 16 / hidden, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const std::span<float> row(all + i * hidden, static_cast<size_t>(hidden));
      absl::Status read = checkpoint.ReadRows("model.embed_tokens.weight", ids[static_cast<size_t>(i)], 1, row);
      if (!read.ok()) return read;
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
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

at::Tensor Product(const Layer& layer, const at::Tensor& x) {
  at::Tensor y = at::matmul(x, layer.weight.t());
  return layer.bias.defined() ? y.add_(layer.bias) : y;
}

BlockFunction::BlockFunction(const model::ModelConfig& config, int64_t tokens, at::Device device)
    : config_(config), tokens_(tokens) {
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

// `heads` is [samples, tokens, heads, head_dim].
at::Tensor BlockFunction::Rotate(const at::Tensor& heads) const {
  const at::Tensor cos = cos_.slice(0, 0, heads.size(1)).unsqueeze(1);
  const at::Tensor sin = sin_.slice(0, 0, heads.size(1)).unsqueeze(1);
  const std::vector<at::Tensor> halves = heads.chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1);
}

at::Tensor BlockFunction::Attend(const Block& block, const at::Tensor& x) const {
  const int64_t samples = std::max<int64_t>(1, x.size(0) / tokens_);
  const int64_t tokens = x.size(0) / samples;
  const auto heads = [&](Projection projection, int64_t count) {
    return Product(block.at(projection), x).view({samples, tokens, count, config_.head_dim});
  };
  // [samples, heads, tokens, head_dim], the shared ones as often as they are read.
  const int64_t shared = config_.heads / config_.kv_heads;
  const auto by_query = [shared](const at::Tensor& t) {
    const at::Tensor by_head = t.transpose(1, 2);
    return shared > 1 ? by_head.repeat_interleave(shared, 1) : by_head;
  };
  const at::Tensor q = Rotate(heads(Projection::kQ, config_.heads)).transpose(1, 2);
  const at::Tensor k = by_query(Rotate(heads(Projection::kK, config_.kv_heads)));
  const at::Tensor v = by_query(heads(Projection::kV, config_.kv_heads));
  const bool windowed = mask_.defined();
  std::optional<at::Tensor> mask;
  if (windowed) mask = mask_.slice(0, 0, tokens).slice(1, 0, tokens);
  const at::Tensor attended = at::scaled_dot_product_attention(q, k, v, mask, 0.0, /*is_causal=*/!windowed);
  return attended.transpose(1, 2).reshape({x.size(0), config_.heads * config_.head_dim});
}

at::Tensor BlockFunction::Gated(const Block& block, const at::Tensor& x) const {
  at::Tensor gate = Product(block.at(Projection::kGate), x);
  return at::silu_(gate).mul_(Product(block.at(Projection::kUp), x));
}

at::Tensor BlockFunction::Attention(const Block& block, const at::Tensor& normed, const Hook& hook) const {
  return Product(block.at(Projection::kO), hook(Site::kOutput, Attend(block, hook(Site::kQkv, normed))));
}

at::Tensor BlockFunction::Mlp(const Block& block, const at::Tensor& normed, const Hook& hook) const {
  return Product(block.at(Projection::kDown), hook(Site::kDown, Gated(block, hook(Site::kMlp, normed))));
}

at::Tensor BlockFunction::Run(const Block& block, const at::Tensor& hidden, const Hook& hook) const {
  const at::Tensor middle = hidden + Attention(block, Norm(block.attention_norm, hidden), hook);
  return middle + Mlp(block, Norm(block.mlp_norm, middle), hook);
}

}  // namespace uaqf::quantize
