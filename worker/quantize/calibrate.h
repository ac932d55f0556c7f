// Calibrated quantization of a whole model, one block at a time: no more than one block's weights and the residual
// stream of the samples are in memory.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/checkpoint.h"
#include "worker/quantize/block_store.h"
#include "worker/quantize/stage_times.h"
#include "worker/quantize/variants.h"

namespace uaqf::quantize {

// Samples of equal length from a text's tokens.
struct CalibrationSet {
  std::vector<std::vector<int32_t>> samples;
  // SHA-256, lower-case hex, over the samples' tokens: part of the configuration of what is made with it.
  std::string digest;
};

// Cuts `ids` into samples. They do not overlap: with just enough tokens for all they are the text from its start, with
// more the seed chooses which and in what order. INVALID_ARGUMENT: a text with fewer tokens than asked for, or
// settings out of range; the message says how many there are.
absl::StatusOr<CalibrationSet> ChooseSamples(const std::vector<int32_t>& ids, const CalibrationSpec& spec);

struct CalibrationOptions {
  // What computes: "cpu", or "cuda:N" once the CUDA module is loaded.
  std::string device = "cpu";
  // Compute threads; 0: libtorch's own choice.
  int threads = 0;
  // Told before each block and once at the end: blocks done and in all. Returns false to stop (CANCELLED).
  std::function<bool(int64_t done, int64_t all)> progress = {};
  // Only so many blocks from the first; 0: all. For measurements.
  int64_t blocks = 0;
  // Whether to measure where the time goes; a GPU is then waited for between two stages.
  bool timed = false;
};

// What a calibration took.
struct CalibrationCost {
  std::array<double, kCalibrationStages> stage_seconds = {};  // zero unless timed
  // Most memory that the device had to reserve since the process began, 0 for "cpu".
  int64_t device_bytes = 0;
};

// Makes every block that `store` does not have, in order. `variant` needs calibration and fits the model. The result
// does not depend on what was in the store before. INVALID_ARGUMENT: tokens outside the vocabulary, samples beyond the
// model's context, activations that are not finite. FAILED_PRECONDITION: a Hessian that is singular.
// RESOURCE_EXHAUSTED: out of memory.
absl::StatusOr<CalibrationCost> Calibrate(const model::Checkpoint& checkpoint, const Variant& variant,
                                          const CalibrationSet& set, const CalibrationOptions& options,
                                          BlockStore& store);

}  // namespace uaqf::quantize
