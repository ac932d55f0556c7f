// The table of calibrated methods.
#pragma once

#include "worker/quantize/block_run.h"

namespace uaqf::quantize {

struct CalibratedMethod {
  // Makes a block; what else it may look at is in the run.
  absl::StatusOr<QuantizedBlock> (*quantize)(const Variant&, BlockRun&);
  // Whether the inputs of a block come from the quantized blocks before it, or from the FP16 model.
  bool after_quantized;
  // How the inputs of a quantized block's layers are rounded on the way to the next block; null: not at all.
  BlockFunction::Hook (*hook)(const Variant&, const QuantizedBlock&, at::Device) = nullptr;
};

// Null for a method that needs no calibration.
const CalibratedMethod* FindCalibrated(Method method);

}  // namespace uaqf::quantize
