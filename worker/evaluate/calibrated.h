// The quantized blocks of a calibrated variant, from the cache or made now.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/evaluate/open_model.h"
#include "worker/quantize/artifact.h"
#include "worker/quantize/calibrate.h"
#include "worker/quantize/synthetic_blocks.h"

namespace uaqf::evaluate {

struct CalibrationRequest {
  // The text; empty: the prose that is part of this program.
  std::string text = {};
  quantize::CalibrationOptions options = {};
};

// Where artifacts are kept between runs.
struct ArtifactOptions {
  // Empty: $UAQF_ARTIFACTS, else "artifacts" in the cache folder of deploy/dependencies.sh.
  std::string folder = {};
  int64_t max_bytes = int64_t{64} << 30;
};

// A variant's blocks, and the configuration that they are the result of.
struct CalibratedVariant {
  std::unique_ptr<quantize::Artifact> artifact;       // null for a synthetic model
  std::unique_ptr<quantize::SyntheticBlocks> random;  // of a synthetic model only
  std::string config;                                 // quantize::ConfigText

  quantize::BlockStore* blocks() const {
    return artifact != nullptr ? static_cast<quantize::BlockStore*>(artifact.get()) : random.get();
  }
};

// A synthetic model has no activations worth calibrating on: it gets random codes in the variant's form, of which time
// and memory can be measured. UNIMPLEMENTED where the device has no kernels for the result (Engine::CheckVariant). From
// the cache where they are whole; else calibrates, going on from what is there. The cache is kept within its limit.
// Errors are those of the tokenizer, quantize::ChooseSamples, quantize::Calibrate and the disk.
[[nodiscard]] absl::StatusOr<CalibratedVariant> PrepareCalibrated(const OpenModel& model,
                                                                  const quantize::Variant& variant,
                                                                  const CalibrationRequest& request,
                                                                  const ArtifactOptions& artifacts);

// Opens the CUDA module where `device` needs it, before libtorch is asked for tensors there.
[[nodiscard]] absl::Status ReadyDevice(const std::string& device);
// The variant's calibration, with a length of samples that suits method and model where it names none.
quantize::CalibrationSpec SpecOf(const OpenModel& model, const quantize::Variant& variant);
// Cut from `text`; empty: the prose that is part of this program.
[[nodiscard]] absl::StatusOr<quantize::CalibrationSet> SamplesOfText(const OpenModel& model,
                                                                     const quantize::Variant& variant,
                                                                     const std::string& text);

// The same into a folder of the caller's, outside any cache.
[[nodiscard]] absl::StatusOr<CalibratedVariant> CalibrateInto(const std::string& folder, const OpenModel& model,
                                                              const quantize::Variant& variant,
                                                              const CalibrationRequest& request);

}  // namespace uaqf::evaluate
