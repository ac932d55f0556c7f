#include "worker/quantize/smoothquant.h"

namespace uaqf::quantize {
namespace {

constexpr Projection kAttentionInputs[] = {Projection::kQ, Projection::kK, Projection::kV};
constexpr Projection kMlpInputs[] = {Projection::kGate, Projection::kUp};

void Fold(std::span<const Projection> projections, const at::Tensor& input_absmax, double alpha, at::Tensor& norm,
          Block& block) {
  std::vector<at::Tensor> weights;
  for (const Projection projection : projections) weights.push_back(block.at(projection).weight);
  const at::Tensor scales = SmoothingScales(input_absmax, weights, alpha);
  norm = norm / scales;
  for (const Projection projection : projections) {
    block.at(projection).weight = block.at(projection).weight * scales.unsqueeze(0);
  }
}

}  // namespace

at::Tensor SmoothingScales(const at::Tensor& input_absmax, const std::vector<at::Tensor>& weights, double alpha) {
  at::Tensor weight_absmax;
  for (const at::Tensor& weight : weights) {
    const at::Tensor absmax = weight.abs().amax(0);
    weight_absmax = weight_absmax.defined() ? at::maximum(weight_absmax, absmax) : absmax;
  }
  const at::Tensor scales = input_absmax.clamp_min(1e-5F).pow(alpha) / weight_absmax.clamp_min(1e-5F).pow(1 - alpha);
  return scales.clamp_min(1e-5F);
}

Block Smoothed(const Block& block, const std::array<at::Tensor, kSites>& input_absmax, double alpha) {
  Block smoothed = block;
  const auto absmax = [&](Site site) { return input_absmax[static_cast<size_t>(site)]; };
  Fold(kAttentionInputs, absmax(Site::kQkv), alpha, smoothed.attention_norm, smoothed);
  Fold(kMlpInputs, absmax(Site::kMlp), alpha, smoothed.mlp_norm, smoothed);
  return smoothed;
}

absl::StatusOr<QuantizedBlock> QuantizeSmoothQuant(const Variant& variant, BlockRun& run) {
  std::array<at::Tensor, kSites> absmax;
  run.Enter(CalibrationStage::kRun);
  run.ObserveAndKeep(run.block(), [&](Site site, const at::Tensor& x) {
    at::Tensor& most = absmax[static_cast<size_t>(site)];
    const at::Tensor here = x.abs().amax(0);
    most = most.defined() ? at::maximum(most, here) : here;
  });
  for (size_t site = 0; site < kSites; ++site) {
    absl::Status finite = CheckStatistics(absmax[site], run.index(), static_cast<Site>(site));
    if (!finite.ok()) return finite;
  }
  run.Enter(CalibrationStage::kStore);
  const Block smoothed = Smoothed(run.block(), absmax, variant.option("alpha"));
  QuantizedBlock result = run.Unquantized();
  result.attention_norm = ToFloats(smoothed.attention_norm);
  result.mlp_norm = ToFloats(smoothed.mlp_norm);
  for (size_t i = 0; i < kProjections; ++i) {
    QuantizedMatrix& matrix = result.matrices[i];
    matrix = RoundToGrid(GridRule::kAbsMax, variant.weight_bits, smoothed.layers[i].weight, variant.granularity,
                         variant.group_size);
    if (variant.activation_scope != ActivationScope::kStatic) continue;
    // What the layer reads after smoothing is divided as its norm is.
    const Site site = SiteOf(static_cast<Projection>(i));
    at::Tensor most = absmax[static_cast<size_t>(site)];
    if (site == Site::kQkv) most = most * (smoothed.attention_norm / run.block().attention_norm).nan_to_num(1.0);
    if (site == Site::kMlp) most = most * (smoothed.mlp_norm / run.block().mlp_norm).nan_to_num(1.0);
    matrix.input_scale = std::max(most.abs().max().item<float>(), 1e-5F) / 127.0F;
  }
  return result;
}

}  // namespace uaqf::quantize
