// One block with the calibration samples that reach it: what a calibrated method works on.
#pragma once

#include <array>
#include <vector>

#include "worker/quantize/block.h"
#include "worker/quantize/stage_times.h"

namespace uaqf::quantize {

class BlockRun {
 public:
  // Borrows all. `inputs`: the residual stream of the samples before block `index`, [tokens, hidden] each, as
  // BlockFunction takes them. `times` may be null.
  BlockRun(int64_t index, const model::ModelConfig& config, const Block& block, const BlockFunction& function,
           const std::vector<at::Tensor>& inputs, StageTimes* times = nullptr)
      : index_(index), config_(config), block_(block), function_(function), inputs_(inputs), times_(times) {}

  int64_t index() const { return index_; }
  const model::ModelConfig& config() const { return config_; }
  // With FP16's weights.
  const Block& block() const { return block_; }
  const BlockFunction& function() const { return function_; }
  const std::vector<at::Tensor>& inputs() const { return inputs_; }
  // Of all inputs together.
  int64_t tokens() const;

  // Runs all samples through `block`; `see` is shown what enters the linear layers, as [tokens, width].
  void Observe(const Block& block, const std::function<void(Site, const at::Tensor&)>& see) const;
  // The same, and keeps what comes out, where that is what the next block is to be calibrated on.
  void ObserveAndKeep(const Block& block, const std::function<void(Site, const at::Tensor&)>& see);

  // Mean of x x^T over all tokens, [width, width], for the sites that are wanted; the rest stays undefined.
  std::array<at::Tensor, kSites> Moments(const Block& block, const std::array<bool, kSites>& wanted) const;

  // What the next block is calibrated on, from a method that has it at hand. Not kept: the pass makes it itself.
  void Keep(std::vector<at::Tensor> outputs) { outputs_ = std::move(outputs); }
  std::vector<at::Tensor> TakeOutputs() { return std::move(outputs_); }

  // The result with the block's own norms and biases, matrices empty.
  QuantizedBlock Unquantized() const;

  void Enter(CalibrationStage stage) const {
    if (times_ != nullptr) times_->Enter(stage);
  }

 private:
  const int64_t index_;
  const model::ModelConfig& config_;
  const Block& block_;
  const BlockFunction& function_;
  const std::vector<at::Tensor>& inputs_;
  StageTimes* const times_;
  std::vector<at::Tensor> outputs_;
};

// The same samples, a site further at a time, for a method that replaces layers in the order in which they are run:
// nothing before the site is run again, and one tensor a sample beside the stream is kept.
class SequentialRun {
 public:
  explicit SequentialRun(const BlockRun& run) : run_(run), stream_(run.inputs()) {}

  // Mean of x x^T over all tokens of what `site` reads where the layers before it are `block`'s. To be asked for every
  // site once, in order.
  at::Tensor Moments(Site site, const Block& block);
  // After all sites: what the whole of `block` makes of the inputs. Once.
  std::vector<at::Tensor> Finish(const Block& block);

 private:
  // What `site` reads of sample `i`; leaves the sample there.
  at::Tensor Reach(Site site, const Block& block, size_t i);

  const BlockRun& run_;
  std::vector<at::Tensor> stream_;    // before attention; from Site::kMlp on, after it
  std::vector<at::Tensor> attended_;  // between Site::kOutput and Site::kMlp
};

// INVALID_ARGUMENT when statistics of a block's inputs are not finite.
absl::Status CheckStatistics(const at::Tensor& statistics, int64_t block_index, Site site);

}  // namespace uaqf::quantize
