#include "worker/quantize/gptq.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace uaqf::quantize {
namespace {

constexpr int64_t kColumnsAtOnce = 128;

// U with U^T U = H^-1, each row over its diagonal; nothing where H is not positive definite in that precision.
std::optional<at::Tensor> InverseFactor(const at::Tensor& damped, at::ScalarType type) {
  at::Tensor inverse;
  {
    const auto [lower, bad] = at::linalg_cholesky_ex(damped.to(type));
    if (bad.item<int>() != 0) return std::nullopt;
    inverse = at::cholesky_inverse(lower);
  }
  const auto [upper, worse] = at::linalg_cholesky_ex(inverse, /*upper=*/true);
  if (worse.item<int>() != 0 || !AllFinite(upper)) return std::nullopt;
  return upper.div_(upper.diagonal().clone().unsqueeze(1)).to(at::kFloat);
}

GridRule RuleOf(const GptqOptions& options) {
  return options.symmetric ? GridRule::kGptqSymmetric : GridRule::kGptqSpan;
}

// Grids of a matrix while its columns are solved in order: `At` is asked for every column, in turn.
class Grids {
 public:
  Grids(const GptqOptions& options, const at::Tensor& weight, const at::Tensor& order)
      : options_(options), rule_(RuleOf(options)), size_(options.group_size > 0 ? options.group_size : weight.size(1)) {
    half_scales_ = options.granularity == Granularity::kGroup || !options.symmetric;
    if (options.granularity == Granularity::kChannel) {
      Keep(FindGrid(rule_, options.bits, weight, half_scales_));
    } else if (options.static_groups) {
      const Grid grid = FindGrid(rule_, options.bits, GroupView(weight, Granularity::kGroup, size_), half_scales_);
      for (int64_t group = 0; group < weight.size(1) / size_; ++group) {
        const auto of_group = [group](const at::Tensor& t) { return t.defined() ? t.select(1, group) : t; };
        Keep({of_group(grid.scale), of_group(grid.zero), grid.low, grid.high});
      }
    }
    if (order.defined()) order_ = ToIndices(order);
  }

  // `later(columns)` gives the next so many columns as they are now.
  const Grid& At(int64_t column, const Later& later) {
    if (options_.granularity == Granularity::kChannel) return grids_[0];
    if (options_.static_groups) {
      return grids_[static_cast<size_t>((order_.empty() ? column : order_[static_cast<size_t>(column)]) / size_)];
    }
    if (column % size_ == 0) Keep(FindGrid(rule_, options_.bits, later(size_), half_scales_));
    return grids_.back();
  }

  // [rows, groups]; zeros undefined where there are none.
  at::Tensor scales() const { return Joined(&Grid::scale); }
  at::Tensor zeros() const { return grids_[0].zero.defined() ? Joined(&Grid::zero) : at::Tensor(); }

 private:
  void Keep(const Grid& grid) { grids_.push_back(grid.OfColumn()); }

  at::Tensor Joined(at::Tensor Grid::*part) const {
    std::vector<at::Tensor> parts;
    for (const Grid& grid : grids_) parts.push_back(grid.*part);
    return at::stack(parts, 1);
  }

  const GptqOptions& options_;
  const GridRule rule_;
  const int64_t size_;
  bool half_scales_;
  std::vector<int32_t> order_;
  std::vector<Grid> grids_;  // of groups
};

// On the processor one column's operations are too small to share: threads would only wait for each other.
class OneThread {
 public:
  explicit OneThread(const at::Tensor& where) : threads_(where.is_cpu() ? at::get_num_threads() : 0) {
    if (threads_ > 0) at::set_num_threads(1);
  }
  ~OneThread() {
    if (threads_ > 0) at::set_num_threads(threads_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const int threads_;
};

std::vector<Projection> LayersAt(Site site) {
  using enum Projection;
  switch (site) {
    case Site::kQkv:
      return {kQ, kK, kV};
    case Site::kOutput:
      return {kO};
    case Site::kMlp:
      return {kGate, kUp};
    case Site::kDown:
      return {kDown};
  }
  return {};
}

// Solves the layers that read `site`, whose second moments are given, and puts what they now compute with into `block`.
absl::Status QuantizeLayersAt(Site site, const at::Tensor& moments, const GptqOptions& options, const BlockRun& run,
                              Block& block, QuantizedBlock& result) {
  run.Enter(CalibrationStage::kFactor);
  const auto factor = FactorMoments(moments, options);
  if (!factor.ok()) {
    return absl::Status(factor.status().code(), absl::StrCat("layer ", run.index(), " ", std::string(SiteName(site)),
                                                             ": ", factor.status().message()));
  }
  run.Enter(CalibrationStage::kSolve);
  const std::vector<Projection> layers = LayersAt(site);
  std::vector<at::Tensor> weights;
  std::vector<int64_t> rows;
  for (const Projection projection : layers) {
    weights.push_back(block.at(projection).weight);
    rows.push_back(weights.back().size(0));
  }
  std::vector<QuantizedMatrix> matrices = SplitRows(SolveGptq(at::cat(weights, 0), *factor, options), rows);
  for (size_t i = 0; i < layers.size(); ++i) {
    block.at(layers[i]).weight = Dequantized(matrices[i], moments.device());
    result.matrices[static_cast<size_t>(layers[i])] = std::move(matrices[i]);
  }
  return absl::OkStatus();
}

}  // namespace

at::Tensor SolveColumns(const at::Tensor& weight, const at::Tensor& spread, const GridOfColumn& grid_of) {
  const int64_t columns = weight.size(1);
  const int64_t rows = weight.size(0);
  // Transposed: a column's values lie together.
  at::Tensor own = weight.t().clone(at::MemoryFormat::Contiguous);
  at::Tensor codes = at::empty_like(own);
  at::Tensor errors = at::empty({std::min(columns, kColumnsAtOnce), rows}, own.options());
  const std::vector<at::Tensor> own_columns = own.unbind(0);
  std::vector<at::Tensor> code_columns = codes.unbind(0);
  std::vector<at::Tensor> error_columns = errors.unbind(0);
  for (int64_t begin = 0; begin < columns; begin += kColumnsAtOnce) {
    const int64_t end = std::min(columns, begin + kColumnsAtOnce);
    const at::Tensor within = spread.slice(0, begin, end).slice(1, begin, end);
    {
      const OneThread alone(weight);
      for (int64_t i = begin; i < end; ++i) {
        const Grid& grid = grid_of(i, [&](int64_t size) { return own.slice(0, i, i + size).t(); });
        const at::Tensor& column = own_columns[static_cast<size_t>(i)];
        at::Tensor& code = code_columns[static_cast<size_t>(i)];
        at::Tensor& error = error_columns[static_cast<size_t>(i - begin)];
        grid.EncodeColumn(column, code);
        grid.ErrorOfColumn(column, code, error);
        own.slice(0, i + 1, end).addr_(within.select(0, i - begin).slice(0, i - begin + 1), error, 1, -1);
      }
    }
    own.slice(0, end).addmm_(spread.slice(0, begin, end).slice(1, end).t(), errors.slice(0, 0, end - begin), 1, -1);
  }
  return codes.t();
}

GptqOptions GptqOptionsOf(const Variant& variant) {
  return {.bits = variant.weight_bits,
          .granularity = variant.granularity,
          .group_size = variant.group_size,
          .symmetric = variant.option("sym") != 0,
          .act_order = variant.option("act-order") != 0,
          .static_groups = variant.option("static-groups") != 0,
          .damp = variant.option("damp")};
}

absl::StatusOr<GptqFactor> FactorMoments(const at::Tensor& moments, const GptqOptions& options) {
  if (!AllFinite(moments)) {
    return absl::InvalidArgumentError(
        "got activations that are not finite while calibrating, expected finite ones: the model's own FP16 baseline "
        "overflows on this text, or its weights are broken");
  }
  at::Tensor damped = moments.clone();
  at::Tensor diagonal = damped.diagonal();
  GptqFactor factor;
  factor.dead = diagonal == 0;
  if (factor.dead.all().item<bool>()) {
    return absl::InvalidArgumentError(
        "every input of the layer was zero on all calibration tokens: the channels before it are dead; check the "
        "model");
  }
  diagonal.masked_fill_(factor.dead, 1);
  if (options.act_order) {
    factor.order = at::argsort(diagonal, /*stable=*/true, 0, /*descending=*/true);
    damped = damped.index_select(0, factor.order).index_select(1, factor.order);
    diagonal = damped.diagonal();
  }
  diagonal.add_(diagonal.mean() * options.damp);
  std::optional<at::Tensor> spread = InverseFactor(damped, at::kFloat);
  if (!spread) spread = InverseFactor(damped, at::kDouble);
  if (!spread) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the Hessian of ", damped.size(0), " inputs is singular even with ", options.damp,
        " of its mean diagonal added; raise the option damp, or calibrate on more tokens than the layer has inputs"));
  }
  factor.spread = *std::move(spread);
  return factor;
}

QuantizedMatrix SolveGptq(const at::Tensor& weight, const GptqFactor& factor, const GptqOptions& options) {
  at::Tensor own = weight.masked_fill(factor.dead.unsqueeze(0), 0);
  Grids grids(options, own, factor.order);
  if (factor.order.defined()) own = own.index_select(1, factor.order);
  at::Tensor codes = SolveColumns(
      own, factor.spread, [&](int64_t column, const Later& later) -> const Grid& { return grids.At(column, later); });
  // Groups of reordered columns stay together; with scales that do not care the columns go home.
  const bool gathered = factor.order.defined() && options.granularity == Granularity::kGroup && !options.static_groups;
  if (factor.order.defined() && !gathered) codes = codes.index_select(1, at::argsort(factor.order));
  QuantizedMatrix matrix =
      MakeMatrix(options.bits, options.granularity, options.group_size, codes, grids.scales(), grids.zeros());
  if (gathered) matrix.order = ToIndices(factor.order);
  return matrix;
}

double LayerLoss(const at::Tensor& weight, const at::Tensor& quantized, const at::Tensor& moments) {
  const at::Tensor difference = (weight - quantized).to(at::kDouble);
  return (at::matmul(difference, moments.to(at::kDouble)) * difference).sum().item<double>();
}

absl::StatusOr<QuantizedBlock> QuantizeGptq(const Variant& variant, BlockRun& run) {
  const GptqOptions options = GptqOptionsOf(variant);
  const bool sequential = variant.option("true-sequential") != 0;
  QuantizedBlock result = run.Unquantized();
  Block block = run.block();  // tensors are shared, each is replaced when its layer is done
  SequentialRun samples(run);
  std::array<at::Tensor, kSites> moments;
  run.Enter(CalibrationStage::kRun);
  if (!sequential) moments = run.Moments(block, {true, true, true, true});
  for (const Site site : {Site::kQkv, Site::kOutput, Site::kMlp, Site::kDown}) {
    at::Tensor& own = moments[static_cast<size_t>(site)];
    run.Enter(CalibrationStage::kRun);
    if (sequential) own = samples.Moments(site, block);
    if (absl::Status done = QuantizeLayersAt(site, own, options, run, block, result); !done.ok()) return done;
    own.reset();
  }
  run.Enter(CalibrationStage::kRun);
  if (sequential && run.index() + 1 < run.config().layers) run.Keep(samples.Finish(block));
  return result;
}

}  // namespace uaqf::quantize
