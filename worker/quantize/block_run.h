// One block with the calibration samples that reach it: what a calibrated method works on.
#pragma once

#include <array>
#include <vector>

#include "worker/quantize/block.h"

namespace uaqf::quantize {

class BlockRun {
 public:
  // Borrows all. `inputs`: the residual stream of each sample before block `index`, [tokens, hidden].
  BlockRun(int64_t index, const model::ModelConfig& config, const Block& block, const BlockFunction& function,
           const std::vector<at::Tensor>& inputs)
      : index_(index), config_(config), block_(block), function_(function), inputs_(inputs) {}

  int64_t index() const { return index_; }
  const model::ModelConfig& config() const { return config_; }
  // With FP16's weights.
  const Block& block() const { return block_; }
  const BlockFunction& function() const { return function_; }
  const std::vector<at::Tensor>& inputs() const { return inputs_; }

  // Runs all samples through `block`; `see` is shown what enters the linear layers, as [tokens, width].
  void Observe(const Block& block, const std::function<void(Site, const at::Tensor&)>& see);

  // Mean of x x^T over all tokens, [width, width], for the sites that are wanted; the rest stays undefined.
  std::array<at::Tensor, kSites> Moments(const Block& block, const std::array<bool, kSites>& wanted);

  // What the block makes of the inputs, when Observe ran the block itself; else empty.
  std::vector<at::Tensor> TakeOutputs() { return std::move(outputs_); }

  // The result with the block's own norms and biases, matrices empty.
  QuantizedBlock Unquantized() const;

 private:
  const int64_t index_;
  const model::ModelConfig& config_;
  const Block& block_;
  const BlockFunction& function_;
  const std::vector<at::Tensor>& inputs_;
  std::vector<at::Tensor> outputs_;
};

// INVALID_ARGUMENT when statistics of a block's inputs are not finite.
absl::Status CheckStatistics(const at::Tensor& statistics, int64_t block_index, Site site);

}  // namespace uaqf::quantize
