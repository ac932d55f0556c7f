// What it takes to make the weights of a calibrated variant: time and memory, of real models and of synthetic shapes.
// Nothing is kept.
#pragma once

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/evaluate/calibrated.h"

namespace uaqf::evaluate {

struct QuantizationCost {
  int64_t samples = 0;
  int64_t sample_tokens = 0;
  int64_t blocks = 0;
  // From the samples' tokens to the last block's bytes; the disk is not in it.
  double seconds = 0;
  std::array<double, quantize::kCalibrationStages> stage_seconds = {};
  int64_t host_bytes = 0;      // the most that the process had resident so far
  int64_t device_bytes = 0;    // the most that the device reserved, 0 on "cpu"
  int64_t artifact_bytes = 0;  // of the blocks as files
};

// Makes all blocks, or the first `request.options.blocks`, and drops them. A synthetic model is calibrated on random
// tokens, 128 samples unless the variant says how many, since a text means nothing to it. On a device that has no
// kernels for the variant too. Errors are those of PrepareCalibrated but for that.
[[nodiscard]] absl::StatusOr<QuantizationCost> MeasureQuantization(const OpenModel& model,
                                                                   const quantize::Variant& variant,
                                                                   const CalibrationRequest& request);

}  // namespace uaqf::evaluate
