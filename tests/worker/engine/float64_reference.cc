#include "tests/worker/engine/float64_reference.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <map>

namespace uaqf::test {

struct Float64Reference::State {
  model::ModelConfig config;
  std::map<std::string, at::Tensor> weights;
  bool quantize_activations = false;
  bool round_cache = false;

  const at::Tensor& W(const std::string& name) const { return weights.at(name); }

  at::Tensor Linear(at::Tensor x, const std::string& name) const {
    if (quantize_activations) {
      const at::Tensor scale = std::get<0>(x.abs().max(-1, true)).clamp_min(1e-5) / 127;
      x = (x / scale).round() * scale;
    }
    at::Tensor y = at::matmul(x, W(name + ".weight").t());
    const auto bias = weights.find(name + ".bias");
    return bias == weights.end() ? y : y + bias->second;
  }

  at::Tensor Norm(const at::Tensor& x, const std::string& name) const {
    return x * at::rsqrt(x.pow(2).mean(-1, true) + config.rms_eps) * W(name + ".weight").reshape({-1});
  }

  // [tokens, head_dim]: the angle of each pair, twice, as Hugging Face concatenates them.
  at::Tensor Angles(int64_t tokens) const {
    std::vector<double> frequencies;
    for (int64_t i = 0; i < config.head_dim; i += 2) {
      double f = 1.0 / std::pow(config.rope.theta, static_cast<double>(i) / static_cast<double>(config.head_dim));
      if (config.rope.scaling == model::RopeScaling::kLinear) f /= config.rope.factor;
      if (config.rope.scaling == model::RopeScaling::kLlama3) f = Llama3(f);
      if (config.rope.scaling == model::RopeScaling::kFactors) f /= config.rope.frequency_factors[i / 2];
      frequencies.push_back(f);
    }
    const at::Tensor inverse = at::tensor(frequencies, at::kDouble);
    const at::Tensor half = at::outer(at::arange(tokens, at::kDouble), inverse);
    return at::cat({half, half}, -1);
  }

  // transformers' modeling_rope_utils._compute_llama3_parameters.
  double Llama3(double f) const {
    const double wavelength = 2 * M_PI / f;
    const double context = static_cast<double>(config.rope.original_context);
    if (wavelength > context / config.rope.low_frequency_factor) return f / config.rope.factor;
    if (wavelength < context / config.rope.high_frequency_factor) return f;
    const double smooth = (context / wavelength - config.rope.low_frequency_factor) /
                          (config.rope.high_frequency_factor - config.rope.low_frequency_factor);
    return (1 - smooth) * f / config.rope.factor + smooth * f;
  }

  // x: [tokens, heads, head_dim]
  at::Tensor Rotate(const at::Tensor& x, const at::Tensor& angles) const {
    const int64_t half = config.head_dim / 2;
    const at::Tensor turned = at::cat({-x.slice(-1, half), x.slice(-1, 0, half)}, -1);
    return x * angles.cos().unsqueeze(1) + turned * angles.sin().unsqueeze(1);
  }

  at::Tensor Attend(const at::Tensor& x, const std::string& prefix, const at::Tensor& angles) const {
    const int64_t tokens = x.size(0);
    const auto split = [&](const char* name, int64_t heads) {
      return Linear(x, prefix + name).reshape({tokens, heads, config.head_dim});
    };
    at::Tensor q = Rotate(split("self_attn.q_proj", config.heads), angles);
    at::Tensor k = Rotate(split("self_attn.k_proj", config.kv_heads), angles);
    at::Tensor v = split("self_attn.v_proj", config.kv_heads);
    if (round_cache) {
      k = k.to(at::kFloat).to(at::kHalf).to(at::kDouble);
      v = v.to(at::kFloat).to(at::kHalf).to(at::kDouble);
    }
    k = k.repeat_interleave(config.heads / config.kv_heads, 1);
    v = v.repeat_interleave(config.heads / config.kv_heads, 1);
    at::Tensor scores =
        at::matmul(q.transpose(0, 1), k.permute({1, 2, 0})) / std::sqrt(static_cast<double>(config.head_dim));
    const at::Tensor row = at::arange(tokens).unsqueeze(1);
    const at::Tensor column = at::arange(tokens).unsqueeze(0);
    at::Tensor hidden = column > row;
    if (config.sliding_window > 0) hidden = hidden.logical_or(column <= row - config.sliding_window);
    scores = scores.masked_fill(hidden, -INFINITY).softmax(-1);
    const at::Tensor mixed = at::matmul(scores, v.transpose(0, 1)).transpose(0, 1).reshape({tokens, -1});
    return Linear(mixed, prefix + "self_attn.o_proj");
  }

  at::Tensor Forward(std::span<const int32_t> ids) const {
    const at::Tensor index = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()));
    at::Tensor x = W("model.embed_tokens.weight").index_select(0, index);
    const at::Tensor angles = Angles(x.size(0));
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      x = x + Attend(Norm(x, prefix + "input_layernorm"), prefix, angles);
      const at::Tensor normed = Norm(x, prefix + "post_attention_layernorm");
      const at::Tensor gate = Linear(normed, prefix + "mlp.gate_proj");
      x = x + Linear(gate * gate.sigmoid() * Linear(normed, prefix + "mlp.up_proj"), prefix + "mlp.down_proj");
    }
    return at::matmul(Norm(x, "model.norm"), W("lm_head.weight").t());
  }
};

Float64Reference::Float64Reference(const model::Checkpoint& checkpoint) : state_(std::make_unique<State>()) {
  at::set_num_threads(1);
  state_->config = checkpoint.config();
  const auto load = [&](const std::string& name) {
    const absl::StatusOr<model::TensorInfo> info = checkpoint.Find(name);
    if (!info.ok()) return;
    at::Tensor tensor = at::empty({info->rows, info->columns}, at::kFloat);
    const auto count = static_cast<size_t>(info->rows * info->columns);
    if (!checkpoint.ReadRows(name, 0, info->rows, {tensor.data_ptr<float>(), count}).ok()) std::abort();
    state_->weights[name] = tensor.to(at::kDouble);
  };
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}) load(name);
  for (int64_t layer = 0; layer < state_->config.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    for (const char* name : {"input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj",
                             "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      load(prefix + name + ".weight");
      load(prefix + name + ".bias");
    }
  }
}

Float64Reference::~Float64Reference() = default;

void Float64Reference::Replace(const std::string& name, std::span<const float> values) {
  at::Tensor& tensor = state_->weights.at(name);
  tensor = at::tensor(at::ArrayRef<float>(values.data(), values.size())).to(at::kDouble).reshape(tensor.sizes());
}

void Float64Reference::QuantizeActivations() { state_->quantize_activations = true; }

void Float64Reference::RoundCache() { state_->round_cache = true; }

std::vector<std::vector<double>> Float64Reference::Logits(std::span<const int32_t> ids) const {
  const at::Tensor logits = state_->Forward(ids).contiguous();
  std::vector<std::vector<double>> rows;
  for (int64_t i = 0; i < logits.size(0); ++i) {
    const double* row = logits.data_ptr<double>() + i * logits.size(1);
    rows.emplace_back(row, row + logits.size(1));
  }
  return rows;
}

std::vector<double> Float64Reference::Nll(std::span<const int32_t> ids) const {
  const at::Tensor log_p = state_->Forward(ids).log_softmax(-1);
  std::vector<double> nll;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    nll.push_back(-log_p[static_cast<int64_t>(i)][ids[i + 1]].item<double>());
  }
  return nll;
}

}  // namespace uaqf::test
