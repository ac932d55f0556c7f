#include "worker/quantize/atom.h"

#include <algorithm>

#include "worker/quantize/gptq.h"

namespace uaqf::quantize {
namespace {

// Rows that share a scale.
constexpr int64_t kRowsTogether = 2;

// [rows, 1] maxima of |part|, each that of a row and its neighbour.
at::Tensor SharedAbsMax(const at::Tensor& part) {
  const at::Tensor own = part.abs().amax(1);
  if (own.size(0) % kRowsTogether != 0) return own.unsqueeze(1);
  return own.view({-1, kRowsTogether}).amax(1).repeat_interleave(kRowsTogether).unsqueeze(1);
}

at::Tensor RoundedScale(const at::Tensor& scale) { return scale.clamp_min(0x1p-24F).to(at::kHalf).to(at::kFloat); }

// METHODS.md: s = 2 absmax clip / 15 on the way of GPTQ, absmax clip / 7 to the nearest; codes -8 to 7 in both.
Grid FourBitGrid(const at::Tensor& part, const AtomOptions& options) {
  const double steps = options.gptq ? 7.5 : 7.0;
  return {RoundedScale(SharedAbsMax(part) * (options.weight_clip / steps)), {}, -8, 7};
}

Grid KeeperGrid(const at::Tensor& part) {
  return {RoundedScale(part.abs().amax(1, /*keepdim=*/true) / 127.0), {}, -127, 127};
}

// The block with rows of gate and up in the order that down_proj's inputs are to have.
Block WithRowsOrdered(const Block& block, const at::Tensor& down_order) {
  Block ordered = block;
  for (const Projection projection : {Projection::kGate, Projection::kUp}) {
    Layer& layer = ordered.at(projection);
    layer.weight = layer.weight.index_select(0, down_order);
    if (layer.bias.defined()) layer.bias = layer.bias.index_select(0, down_order);
  }
  return ordered;
}

// How errors spread over the columns in `order`; undefined without GPTQ.
absl::StatusOr<at::Tensor> SpreadOf(const at::Tensor& moments, const at::Tensor& order, const AtomOptions& options) {
  if (!options.gptq) return at::Tensor();
  const auto factor = FactorMoments(moments.index_select(0, order).index_select(1, order), {.damp = options.damp});
  if (!factor.ok()) return factor.status();
  return factor->spread;
}

}  // namespace

AtomOptions AtomOptionsOf(const Variant& variant) {
  return {.group_size = variant.group_size,
          .keepers = static_cast<int64_t>(variant.option("keepers")),
          .gptq = variant.option("gptq") != 0,
          .activation_clip = variant.option("activation-clip"),
          .weight_clip = variant.option("weight-clip")};
}

at::Tensor AtomOrder(const at::Tensor& moments) {
  return at::argsort(moments.diagonal(), /*stable=*/true, 0, /*descending=*/false);
}

at::Tensor AtomActivations(const at::Tensor& x, const AtomOptions& options) {
  const int64_t kept = x.size(1) - options.keepers;
  const at::Tensor groups = x.slice(1, 0, kept).reshape({x.size(0), -1, options.group_size});
  const at::Tensor scale = groups.abs().amax(-1, /*keepdim=*/true).clamp_min(1e-5F) * options.activation_clip / 7.0;
  const at::Tensor four = (at::round((groups / scale).clamp(-8, 7)) * scale).flatten(1);
  if (options.keepers == 0) return four;
  const at::Tensor keepers = x.slice(1, kept);
  const at::Tensor keeper_scale = keepers.abs().amax(-1, /*keepdim=*/true).clamp_min(1e-5F) / 127.0;
  return at::cat({four, at::round((keepers / keeper_scale).clamp(-127, 127)) * keeper_scale}, 1);
}

QuantizedMatrix AtomWeights(const at::Tensor& weight, const at::Tensor& spread, const AtomOptions& options) {
  const int64_t columns = weight.size(1);
  const int64_t kept = columns - options.keepers;
  std::vector<at::Tensor> scales;
  Grid current = {{}, {}, 0, 0};
  Grid of_column = current;
  const auto grid_of = [&](int64_t column, const Later& later) -> const Grid& {
    if (column < kept && column % options.group_size == 0) {
      current = FourBitGrid(later(options.group_size), options);
      of_column = current.OfColumn();
      scales.push_back(current.scale);
    } else if (column == kept) {
      current = KeeperGrid(later(options.keepers));
      of_column = current.OfColumn();
      for (int64_t i = 0; i < options.keepers; i += options.group_size) scales.push_back(current.scale);
    }
    return of_column;
  };
  at::Tensor codes;
  if (options.gptq) {
    codes = SolveColumns(weight, spread, grid_of);
  } else {
    codes = at::empty_like(weight);
    for (int64_t column = 0; column < columns; column += options.group_size) {
      grid_of(column, [&](int64_t size) { return weight.slice(1, column, column + size); });
      const int64_t end = column < kept ? column + options.group_size : columns;
      codes.slice(1, column, end).copy_(current.Encode(weight.slice(1, column, end)));
      if (column >= kept) break;
    }
  }
  return MakeMatrix(8, Granularity::kGroup, options.group_size, codes, at::cat(scales, 1), {});
}

absl::StatusOr<QuantizedBlock> QuantizeAtom(const Variant& variant, BlockRun& run) {
  const AtomOptions options = AtomOptionsOf(variant);
  run.Enter(CalibrationStage::kRun);
  const std::array<at::Tensor, kSites> moments = run.Moments(run.block(), {true, true, true, true});
  std::array<at::Tensor, kSites> orders;
  std::array<at::Tensor, kSites> spreads;
  run.Enter(CalibrationStage::kFactor);
  for (size_t site = 0; site < kSites; ++site) {
    absl::Status finite = CheckStatistics(moments[site], run.index(), static_cast<Site>(site));
    if (!finite.ok()) return finite;
    orders[site] = AtomOrder(moments[site]);
    auto spread = SpreadOf(moments[site], orders[site], options);
    if (!spread.ok()) {
      return absl::Status(spread.status().code(),
                          absl::StrCat("layer ", run.index(), " ", std::string(SiteName(static_cast<Site>(site))), ": ",
                                       spread.status().message()));
    }
    spreads[site] = *std::move(spread);
  }
  run.Enter(CalibrationStage::kSolve);
  const Block block = WithRowsOrdered(run.block(), orders[static_cast<size_t>(Site::kDown)]);
  QuantizedBlock result = run.Unquantized();
  for (size_t i = 0; i < kProjections; ++i) {
    const auto projection = static_cast<Projection>(i);
    const auto site = static_cast<size_t>(SiteOf(projection));
    result.matrices[i] = AtomWeights(block.layers[i].weight.index_select(1, orders[site]), spreads[site], options);
    // The rows before down_proj bring its inputs in order.
    if (projection != Projection::kDown) result.matrices[i].order = ToIndices(orders[site]);
    if (block.layers[i].bias.defined()) result.biases[i] = ToFloats(block.layers[i].bias);
  }
  return result;
}

BlockFunction::Hook AtomHook(const Variant& variant, const QuantizedBlock& block, at::Device device) {
  const AtomOptions options = AtomOptionsOf(variant);
  const auto order_of = [&](Projection projection) {
    return FromIndices(block.matrices[static_cast<size_t>(projection)].order, device);
  };
  const std::array<at::Tensor, kSites> orders = {order_of(Projection::kQ), order_of(Projection::kO),
                                                 order_of(Projection::kGate), at::Tensor()};
  return [options, orders](Site site, const at::Tensor& x) {
    const at::Tensor& order = orders[static_cast<size_t>(site)];
    if (!order.defined()) return AtomActivations(x, options);
    const at::Tensor rounded = AtomActivations(x.index_select(1, order), options);
    return rounded.index_select(1, at::argsort(order));
  };
}

}  // namespace uaqf::quantize
