#include "worker/quantize/gptq.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace uaqf::quantize {
namespace {

constexpr int64_t kColumnsAtOnce = 128;

// upper^T upper = (H)^-1; nothing where H is not positive definite in that precision.
std::optional<at::Tensor> InverseFactor(const at::Tensor& damped, at::ScalarType type) {
  const auto [lower, bad] = at::linalg_cholesky_ex(damped.to(type));
  if (bad.item<int>() != 0) return std::nullopt;
  const auto [upper, worse] = at::linalg_cholesky_ex(at::cholesky_inverse(lower), /*upper=*/true);
  if (worse.item<int>() != 0 || !AllFinite(upper)) return std::nullopt;
  return upper.to(at::kFloat);
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
    if (options.granularity == Granularity::kGroup && options.static_groups) {
      fixed_ = FindGrid(rule_, options.bits, GroupView(weight, Granularity::kGroup, size_), half_scales_);
      scales_.push_back(fixed_.scale.squeeze(-1));
      if (fixed_.zero.defined()) zeros_.push_back(fixed_.zero.squeeze(-1));
    } else if (options.granularity == Granularity::kChannel) {
      Keep(FindGrid(rule_, options.bits, weight, half_scales_));
    }
    if (order.defined()) {
      const at::Tensor host = order.to(at::kCPU).contiguous();
      order_.assign(host.const_data_ptr<int64_t>(), host.const_data_ptr<int64_t>() + host.numel());
    }
  }

  // `later(columns)` gives the next so many columns as they are now.
  Grid At(int64_t column, const Later& later) {
    if (fixed_.scale.defined()) {
      const int64_t own = order_.empty() ? column : order_[static_cast<size_t>(column)];
      const auto pick = [&](const at::Tensor& t) { return t.defined() ? t.select(1, own / size_) : t; };
      return {pick(fixed_.scale), pick(fixed_.zero), fixed_.low, fixed_.high};
    }
    if (options_.granularity == Granularity::kGroup && column % size_ == 0) {
      Keep(FindGrid(rule_, options_.bits, later(size_), half_scales_));
    }
    return current_;
  }

  // [rows, groups]; zeros undefined where there are none.
  at::Tensor scales() const { return at::cat(scales_, 1); }
  at::Tensor zeros() const { return zeros_.empty() ? at::Tensor() : at::cat(zeros_, 1); }

 private:
  void Keep(const Grid& grid) {
    current_ = grid;
    scales_.push_back(grid.scale);
    if (grid.zero.defined()) zeros_.push_back(grid.zero);
  }

  const GptqOptions& options_;
  const GridRule rule_;
  const int64_t size_;
  bool half_scales_;
  std::vector<int64_t> order_;
  Grid fixed_ = {{}, {}, 0, 0};
  Grid current_ = {{}, {}, 0, 0};
  std::vector<at::Tensor> scales_;
  std::vector<at::Tensor> zeros_;
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

// Layers that are solved with the same inputs; true-sequential runs the block again between two of them.
std::vector<std::vector<Projection>> Stages(bool true_sequential) {
  using enum Projection;
  if (true_sequential) return {{kK, kV, kQ}, {kO}, {kUp, kGate}, {kDown}};
  return {{kQ, kK, kV, kO, kGate, kUp, kDown}};
}

}  // namespace

at::Tensor SolveColumns(at::Tensor weight, const at::Tensor& upper, const GridOfColumn& grid_of) {
  const int64_t columns = weight.size(1);
  at::Tensor codes = at::empty_like(weight);
  for (int64_t begin = 0; begin < columns; begin += kColumnsAtOnce) {
    const int64_t end = std::min(columns, begin + kColumnsAtOnce);
    at::Tensor errors = at::empty({weight.size(0), end - begin}, weight.options());
    {
      const OneThread alone(weight);
      for (int64_t i = begin; i < end; ++i) {
        const Grid grid = grid_of(i, [&](int64_t size) { return weight.slice(1, i, i + size); });
        const at::Tensor column = weight.slice(1, i, i + 1);
        const at::Tensor code = grid.Encode(column);
        const at::Tensor error = (column - grid.Decode(code)) / upper[i][i];
        codes.slice(1, i, i + 1).copy_(code);
        errors.slice(1, i - begin, i - begin + 1).copy_(error);
        weight.slice(1, i + 1, end).addmm_(error, upper.slice(0, i, i + 1).slice(1, i + 1, end), 1, -1);
      }
    }
    weight.slice(1, end).addmm_(errors, upper.slice(0, begin, end).slice(1, end), 1, -1);
  }
  return codes;
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
  std::optional<at::Tensor> upper = InverseFactor(damped, at::kFloat);
  if (!upper) upper = InverseFactor(damped, at::kDouble);
  if (!upper) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the Hessian of ", damped.size(0), " inputs is singular even with ", options.damp,
        " of its mean diagonal added; raise the option damp, or calibrate on more tokens than the layer has inputs"));
  }
  factor.upper = *std::move(upper);
  return factor;
}

QuantizedMatrix SolveGptq(const at::Tensor& weight, const GptqFactor& factor, const GptqOptions& options) {
  at::Tensor own = weight.masked_fill(factor.dead.unsqueeze(0), 0);
  Grids grids(options, own, factor.order);
  if (factor.order.defined()) own = own.index_select(1, factor.order);
  at::Tensor codes = SolveColumns(own.contiguous(), factor.upper,
                                  [&](int64_t column, const Later& later) { return grids.At(column, later); });
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
  QuantizedBlock result = run.Unquantized();
  Block block = run.block();  // tensors are shared, each is replaced when its layer is done
  for (const std::vector<Projection>& stage : Stages(variant.option("true-sequential") != 0)) {
    std::array<bool, kSites> wanted = {};
    for (const Projection projection : stage) wanted[static_cast<size_t>(SiteOf(projection))] = true;
    const std::array<at::Tensor, kSites> moments = run.Moments(block, wanted);
    std::array<std::optional<GptqFactor>, kSites> factors;
    for (const Projection projection : stage) {
      const auto site = static_cast<size_t>(SiteOf(projection));
      if (!factors[site]) {
        auto factor = FactorMoments(moments[site], options);
        if (!factor.ok()) {
          return absl::Status(factor.status().code(),
                              absl::StrCat("layer ", run.index(), " ", std::string(ProjectionName(projection)), ": ",
                                           factor.status().message()));
        }
        factors[site] = *std::move(factor);
      }
      at::Tensor& weight = block.at(projection).weight;
      QuantizedMatrix matrix = SolveGptq(weight, *factors[site], options);
      weight = Dequantized(matrix, weight.device());
      result.matrices[static_cast<size_t>(projection)] = std::move(matrix);
    }
  }
  return result;
}

}  // namespace uaqf::quantize
