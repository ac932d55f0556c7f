// Atom (METHODS.md 3.6): INT4 weights and activations in groups, beside a few input channels, those of the largest
// second moments, that stay INT8.
//
// Inputs are reordered so that the INT8 channels stand last: q, k, v, o, gate and up gather their input in that order;
// the rows of gate and up are put in the order of down_proj's columns, which then needs no gather. The canonical form
// holds INT4 codes in bytes (bits = 8): one matrix has codes of both widths, and its products are of INT8 anyway. Two
// neighbouring rows share the scale of a group.
#pragma once

#include "worker/quantize/block_run.h"

namespace uaqf::quantize {

struct AtomOptions {
  int64_t group_size = 128;
  int64_t keepers = 128;  // a multiple of the group size
  bool gptq = true;
  double activation_clip = 0.9;
  double weight_clip = 0.85;
  double damp = 0.01;
};
AtomOptions AtomOptionsOf(const Variant& variant);

// Channels by their second moments, the largest last; those that tie stay as they are.
at::Tensor AtomOrder(const at::Tensor& moments);

// What the kernels make of `x` [tokens, columns], whose last `keepers` columns stay INT8.
at::Tensor AtomActivations(const at::Tensor& x, const AtomOptions& options);

// `weight` and `spread` (GptqFactor) with their columns in the final order; without GPTQ `spread` is not looked at.
QuantizedMatrix AtomWeights(const at::Tensor& weight, const at::Tensor& spread, const AtomOptions& options);

// The method on a whole block. Its inputs are those that the quantized blocks before it make.
absl::StatusOr<QuantizedBlock> QuantizeAtom(const Variant& variant, BlockRun& run);

// What enters the layers of a block that QuantizeAtom made, as the kernels round it; the block's weights are those of
// Dequantized.
BlockFunction::Hook AtomHook(const Variant& variant, const QuantizedBlock& block, at::Device device);

}  // namespace uaqf::quantize
