// AWQ (METHODS.md 3.4): per-channel scales searched for the outputs of the FP16 model, then a search of each group's
// clipping, then groups of asymmetric INT4.
#pragma once

#include "worker/quantize/block_run.h"

namespace uaqf::quantize {

struct AwqOptions {
  int bits = 4;
  int64_t group_size = 128;
  bool duo = false;  // AutoAWQ's: scales look at the weights as well
  bool clip = true;
};
AwqOptions AwqOptionsOf(const Variant& variant);

// Scales of step `step` (of 20) of the search: step 0 is all ones, which is rounding to the nearest. Inputs: mean |x|
// of each channel, and for `duo` the layers' weights.
at::Tensor AwqScales(const at::Tensor& mean_abs, const std::vector<at::Tensor>& weights, const AwqOptions& options,
                     int step);

// Values of `weight` rounded to the grid.
at::Tensor AwqRound(const at::Tensor& weight, const AwqOptions& options);

// `weight` with every group clamped to the range, of 1.0 down to 0.55 of its largest magnitude, that loses least of the
// group's share of the outputs; `moments` are those of the inputs, [columns, columns].
at::Tensor AwqClipped(const at::Tensor& weight, const at::Tensor& moments, const AwqOptions& options);

// The method on a whole block. Its inputs are those of the FP16 model.
absl::StatusOr<QuantizedBlock> QuantizeAwq(const Variant& variant, BlockRun& run);

}  // namespace uaqf::quantize
