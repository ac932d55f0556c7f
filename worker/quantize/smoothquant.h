// SmoothQuant (METHODS.md 3.2): INT8 weights and activations, after part of the activations' range has moved into the
// weights. q, k, v and gate, up are smoothed, by way of the norms before them; o_proj and down_proj are only quantized.
#pragma once

#include "worker/quantize/block_run.h"

namespace uaqf::quantize {

// Per input channel: max|x|^alpha / max|w|^(1 - alpha), both maxima at least 1e-5, that of the weights over the rows of
// all `weights`, which read the same input.
at::Tensor SmoothingScales(const at::Tensor& input_absmax, const std::vector<at::Tensor>& weights, double alpha);

// The block with norms divided and columns multiplied by such scales: the same function, in exact arithmetic.
Block Smoothed(const Block& block, const std::array<at::Tensor, kSites>& input_absmax, double alpha);

absl::StatusOr<QuantizedBlock> QuantizeSmoothQuant(const Variant& variant, BlockRun& run);

}  // namespace uaqf::quantize
