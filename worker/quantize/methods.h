// The table of calibrated methods.
#pragma once

#include "worker/quantize/block_run.h"

namespace uaqf::quantize {

struct CalibratedMethod {
  // Makes a block; what else it may look at is in the run.
  absl::StatusOr<QuantizedBlock> (*quantize)(const Variant&, BlockRun&);
  // Whether the inputs of a block come from the quantized blocks before it, or from the FP16 model.
  bool after_quantized;
};

// Null for a method that needs no calibration.
const CalibratedMethod* FindCalibrated(Method method);

}  // namespace uaqf::quantize
