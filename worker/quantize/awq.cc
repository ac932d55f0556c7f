#include "worker/quantize/awq.h"

namespace uaqf::quantize {
namespace {

constexpr int kSteps = 20;
constexpr int kClipSteps = 10;  // of a twentieth: down to 0.55 of the range

// What one run of the samples through the FP16 block leaves.
struct Observed {
  std::array<at::Tensor, kSites> mean_abs;  // [width]
  std::array<at::Tensor, kSites> moments;   // [width, width], mean over tokens
  std::vector<at::Tensor> attention;        // what each sample's attention and MLP add to the stream
  std::vector<at::Tensor> mlp;

  const at::Tensor& mean_abs_of(Site site) const { return mean_abs[static_cast<size_t>(site)]; }
  at::Tensor& moments_of(Site site) { return moments[static_cast<size_t>(site)]; }
};

// Layers that take the same scales, and what comes before them that takes their inverse.
struct Fold {
  Site site;
  std::vector<Projection> scaled;
  at::Tensor* norm;   // or null:
  Projection before;  // whose rows take the inverse
};

Observed Observe(const BlockRun& run) {
  const FastProducts fast;
  Observed observed;
  const double share = 1.0 / static_cast<double>(run.tokens());
  const auto note = [&](Site site, const at::Tensor& x) {
    at::Tensor& mean = observed.mean_abs[static_cast<size_t>(site)];
    at::Tensor& moments = observed.moments[static_cast<size_t>(site)];
    if (!mean.defined()) {
      mean = at::zeros({x.size(1)}, x.options());
      moments = at::zeros({x.size(1), x.size(1)}, x.options());
    }
    mean.add_(x.abs().sum(0), share);
    moments.addmm_(x.t(), x, 1, share);
    return x;
  };
  const BlockFunction& function = run.function();
  const Block& block = run.block();
  for (const at::Tensor& input : run.inputs()) {
    observed.attention.push_back(function.Attention(block, function.Norm(block.attention_norm, input), note));
    const at::Tensor middle = input + observed.attention.back();
    observed.mlp.push_back(function.Mlp(block, function.Norm(block.mlp_norm, middle), note));
  }
  return observed;
}

// Squared error of outputs whose weights differ by `difference`, but for a factor that is the same for all.
at::Tensor OutputLoss(const at::Tensor& difference, const at::Tensor& moments) {
  return (at::matmul(difference, moments) * difference).sum().to(at::kDouble);
}

at::Tensor RoundScaled(const at::Tensor& weight, const at::Tensor& scales, const AwqOptions& options) {
  return AwqRound(weight * scales, options) / scales;
}

// Squared error of the whole attention or MLP, over all samples, with the layers of `fold` rounded under `scales`.
at::Tensor ModuleLoss(const BlockRun& run, const Fold& fold, const Observed& observed, const at::Tensor& scales,
                      const AwqOptions& options) {
  Block rounded = run.block();
  for (const Projection projection : fold.scaled) {
    rounded.at(projection).weight = RoundScaled(rounded.at(projection).weight, scales, options);
  }
  const BlockFunction& function = run.function();
  at::Tensor loss = at::zeros({}, scales.options().dtype(at::kDouble));
  for (size_t i = 0; i < run.inputs().size(); ++i) {
    const at::Tensor& input = run.inputs()[i];
    at::Tensor out;
    if (fold.site == Site::kQkv) {
      out = function.Attention(rounded, function.Norm(rounded.attention_norm, input), Untouched);
      out.sub_(observed.attention[i]);
    } else {
      out = function.Mlp(rounded, function.Norm(rounded.mlp_norm, input + observed.attention[i]), Untouched);
      out.sub_(observed.mlp[i]);
    }
    loss.add_(out.square_().sum());
  }
  return loss;
}

// The best of the twenty scales by `loss_of(scales)`, a tensor of one number; ones where none beats rounding to the
// nearest.
template <typename LossOf>
at::Tensor SearchScales(const at::Tensor& mean_abs, const std::vector<at::Tensor>& weights, const AwqOptions& options,
                        LossOf loss_of) {
  const FastProducts fast;
  std::vector<at::Tensor> scales;
  std::vector<at::Tensor> losses;
  for (int step = 0; step < kSteps; ++step) {
    scales.push_back(AwqScales(mean_abs, weights, options, step));
    losses.push_back(loss_of(scales.back()));
  }
  const std::vector<float> all = ToFloats(at::stack(losses) / losses[0]);  // read once: a GPU is not waited for
  size_t best = 0;
  for (size_t step = 1; step < all.size(); ++step) {
    if (all[step] < all[best]) best = step;
  }
  return scales[best];
}

at::Tensor ScalesOf(const BlockRun& run, const Fold& fold, Observed& observed, const AwqOptions& options) {
  std::vector<at::Tensor> weights;
  for (const Projection projection : fold.scaled) weights.push_back(run.block().at(projection).weight);
  return SearchScales(observed.mean_abs_of(fold.site), weights, options, [&](const at::Tensor& scales) {
    if (fold.norm != nullptr) return ModuleLoss(run, fold, observed, scales, options);
    return OutputLoss(RoundScaled(weights[0], scales, options) - weights[0], observed.moments_of(fold.site));
  });
}

void Apply(const Fold& fold, const at::Tensor& scales, Block& block, Observed& observed) {
  if (fold.norm != nullptr) {
    *fold.norm = *fold.norm / scales;
  } else {
    Layer& before = block.at(fold.before);
    before.weight = before.weight / scales.unsqueeze(1);
    if (before.bias.defined()) before.bias = before.bias / scales;
  }
  for (const Projection projection : fold.scaled) {
    block.at(projection).weight = block.at(projection).weight * scales.unsqueeze(0);
  }
  // Inputs are x / s from here on.
  at::Tensor& moments = observed.moments_of(fold.site);
  moments = moments / scales.unsqueeze(0) / scales.unsqueeze(1);
}

std::vector<Fold> FoldsOf(Block& block) {
  using enum Projection;
  std::vector<Fold> folds = {{Site::kQkv, {kQ, kK, kV}, &block.attention_norm, kQ}};
  // With fewer heads of values than of queries a row of v_proj feeds several columns of o_proj: no fold.
  if (block.at(kV).weight.sizes() == block.at(kO).weight.sizes()) folds.push_back({Site::kOutput, {kO}, nullptr, kV});
  folds.push_back({Site::kMlp, {kGate, kUp}, &block.mlp_norm, kGate});
  folds.push_back({Site::kDown, {kDown}, nullptr, kUp});
  return folds;
}

bool IsClipped(Projection projection) { return projection != Projection::kQ && projection != Projection::kK; }

}  // namespace

AwqOptions AwqOptionsOf(const Variant& variant) {
  return {variant.weight_bits, variant.group_size, variant.option("duo") != 0, variant.option("clip") != 0};
}

at::Tensor AwqScales(const at::Tensor& mean_abs, const std::vector<at::Tensor>& weights, const AwqOptions& options,
                     int step) {
  const double ratio = static_cast<double>(step) / kSteps;
  at::Tensor scales = mean_abs.pow(ratio);
  if (options.duo) {
    const at::Tensor all = GroupView(at::cat(weights, 0), Granularity::kGroup, options.group_size).abs();
    const at::Tensor share = (all / (all.amax(-1, /*keepdim=*/true) + 1e-6F)).flatten(1).mean(0);
    scales = scales / (share.pow(1 - ratio) + 1e-4F);
  }
  scales = scales.clamp_min(1e-4F);
  return scales / (scales.max() * scales.min()).sqrt();
}

at::Tensor AwqRound(const at::Tensor& weight, const AwqOptions& options) {
  const at::Tensor groups = GroupView(weight, Granularity::kGroup, options.group_size);
  return FindGrid(GridRule::kAwqSpan, options.bits, groups, /*half_scales=*/true).Round(groups).reshape(weight.sizes());
}

at::Tensor AwqClipped(const at::Tensor& weight, const at::Tensor& moments, const AwqOptions& options) {
  const int64_t groups = weight.size(1) / options.group_size;
  const at::Tensor own = GroupView(weight, Granularity::kGroup, options.group_size);
  // Of each group with itself: [groups, size, size].
  std::vector<at::Tensor> within;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * options.group_size;
    within.push_back(moments.slice(0, begin, begin + options.group_size).slice(1, begin, begin + options.group_size));
  }
  const at::Tensor own_moments = at::stack(within);
  const at::Tensor absmax = own.abs().amax(-1, /*keepdim=*/true);
  at::Tensor best = absmax.clone();
  at::Tensor least;
  for (int step = 0; step < kClipSteps; ++step) {
    const at::Tensor most = absmax * (1 - static_cast<double>(step) / kSteps);
    const at::Tensor clamped = at::minimum(at::maximum(own, -most), most);
    const at::Tensor difference =
        FindGrid(GridRule::kAwqSpan, options.bits, clamped, /*half_scales=*/true).Round(clamped) - own;
    const at::Tensor by_group = difference.transpose(0, 1);  // [groups, rows, size]
    const at::Tensor loss = (at::bmm(by_group, own_moments) * by_group).sum(-1).t().unsqueeze(-1);
    if (!least.defined()) {
      least = loss;
      continue;
    }
    const at::Tensor better = loss < least;
    least = at::where(better, loss, least);
    best = at::where(better, most, best);
  }
  return at::minimum(at::maximum(own, -best), best).reshape(weight.sizes());
}

absl::StatusOr<QuantizedBlock> QuantizeAwq(const Variant& variant, BlockRun& run) {
  const AwqOptions options = AwqOptionsOf(variant);
  run.Enter(CalibrationStage::kRun);
  Observed observed = Observe(run);
  for (size_t site = 0; site < kSites; ++site) {
    absl::Status finite = CheckStatistics(observed.moments[site], run.index(), static_cast<Site>(site));
    if (!finite.ok()) return finite;
  }
  run.Enter(CalibrationStage::kSearch);
  Block block = run.block();
  // All scales are searched on the block as it was, then folded.
  const std::vector<Fold> folds = FoldsOf(block);
  std::vector<at::Tensor> scales;
  for (const Fold& fold : folds) scales.push_back(ScalesOf(run, fold, observed, options));
  for (size_t i = 0; i < folds.size(); ++i) Apply(folds[i], scales[i], block, observed);
  for (size_t i = 0; i < observed.mlp.size(); ++i) {
    observed.attention[i].add_(run.inputs()[i]).add_(observed.mlp[i]);
    observed.mlp[i].reset();
  }
  run.Keep(std::move(observed.attention));
  QuantizedBlock result = run.Unquantized();
  result.attention_norm = ToFloats(block.attention_norm);
  result.mlp_norm = ToFloats(block.mlp_norm);
  for (size_t i = 0; i < kProjections; ++i) {
    const auto projection = static_cast<Projection>(i);
    at::Tensor weight = block.layers[i].weight;
    if (options.clip && IsClipped(projection)) {
      weight = AwqClipped(weight, observed.moments_of(SiteOf(projection)), options);
    }
    result.matrices[i] = RoundToGrid(GridRule::kAwqSpan, options.bits, weight, Granularity::kGroup, options.group_size);
    if (block.layers[i].bias.defined()) result.biases[i] = ToFloats(block.layers[i].bias);
  }
  return result;
}

}  // namespace uaqf::quantize
