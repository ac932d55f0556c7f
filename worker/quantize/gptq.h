// GPTQ (METHODS.md 3.3): columns one after the other, the error of each spread over those that follow, by the inverse
// of the inputs' second moments.
//
// Three differences from the published code: the grid of a group of at most 128 columns comes from weights that all
// earlier columns have updated (there, a group that begins inside a block of 128 sees the updates of earlier blocks
// only); a group's scale is rounded to FP16 before codes are computed with it; and a symmetric grid spans the absolute
// maximum also where no weight is negative (there, it then reaches half as far and clips).
#pragma once

#include "worker/quantize/block_run.h"
#include "worker/quantize/tensors.h"

namespace uaqf::quantize {

struct GptqOptions {
  int bits = 4;
  Granularity granularity = Granularity::kChannel;  // or kGroup
  int64_t group_size = 0;
  bool symmetric = true;
  bool act_order = false;
  bool static_groups = false;
  double damp = 0.01;
};
GptqOptions GptqOptionsOf(const Variant& variant);

// The factor that GPTQ needs of the inputs' second moments sum x x^T (any multiple of it, [columns, columns]), shared
// by all layers that read the same inputs.
struct GptqFactor {
  // The upper Cholesky factor of the damped inverse, columns in `order`, each row over its diagonal: how the error of a
  // column spreads to those after it.
  at::Tensor spread;
  at::Tensor dead;   // [columns], true where no input was ever other than zero
  at::Tensor order;  // [columns], undefined without act-order
};
// In FP32, and in FP64 where that fails. INVALID_ARGUMENT: moments that are not finite, or all zero.
// FAILED_PRECONDITION: not positive definite even with the damping.
absl::StatusOr<GptqFactor> FactorMoments(const at::Tensor& moments, const GptqOptions& options);

// The grid of a column ([rows] tensors, which live until the next is asked for), asked for in turn; `later(n)` are
// the next n columns as they are by then, the column itself the first.
using Later = std::function<at::Tensor(int64_t)>;
using GridOfColumn = std::function<const Grid&(int64_t column, const Later& later)>;
// The sweep: codes [rows, columns] of `weight`, in the order that it and `spread` have.
at::Tensor SolveColumns(const at::Tensor& weight, const at::Tensor& spread, const GridOfColumn& grid_of);

// Quantizes `weight` [rows, columns]. Dead columns become 0. Rows do not see each other: layers that read the same
// inputs are solved as one, below each other, and cost little more than the widest of them.
QuantizedMatrix SolveGptq(const at::Tensor& weight, const GptqFactor& factor, const GptqOptions& options);

// What the layer's outputs lose: trace((W - Q) M (W - Q)^T) for the moments M.
double LayerLoss(const at::Tensor& weight, const at::Tensor& quantized, const at::Tensor& moments);

// The method on a whole block. Its inputs are those that the quantized blocks before it make.
absl::StatusOr<QuantizedBlock> QuantizeGptq(const Variant& variant, BlockRun& run);

}  // namespace uaqf::quantize
