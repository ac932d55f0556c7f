// Blocks of random codes in the form that a calibrated variant has: what runs on them takes the time and the memory of
// the real ones, and means nothing. For models of random weights, which cannot be calibrated.
#pragma once

#include "worker/model/model_config.h"
#include "worker/quantize/block_store.h"
#include "worker/quantize/variants.h"

namespace uaqf::quantize {

// Blocks are made when they are asked for, the same bits each time.
class SyntheticBlocks : public BlockStore {
 public:
  // `variant` needs calibration and fits the model.
  SyntheticBlocks(const model::ModelConfig& config, const Variant& variant) : config_(config), variant_(variant) {}

  absl::StatusOr<QuantizedBlock> Get(int64_t index) override;
  // UNIMPLEMENTED.
  absl::Status Put(int64_t index, const QuantizedBlock& block) override;

 private:
  const model::ModelConfig config_;
  const Variant variant_;
};

}  // namespace uaqf::quantize
