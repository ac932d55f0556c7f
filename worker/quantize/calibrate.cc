#include "worker/quantize/calibrate.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include "worker/quantize/methods.h"

namespace uaqf::quantize {
namespace {

absl::Status CheckSamples(const model::ModelConfig& config, const CalibrationSet& set) {
  if (set.samples.empty()) return absl::InvalidArgumentError("got no calibration samples, expected at least one");
  for (const std::vector<int32_t>& sample : set.samples) {
    if (static_cast<int64_t>(sample.size()) > config.context) {
      return absl::InvalidArgumentError(absl::StrCat("got calibration samples of ", sample.size(),
                                                     " tokens, expected at most ", config.context, ", the context of ",
                                                     config.name));
    }
    for (const int32_t id : sample) {
      if (id < 0 || id >= config.vocab) {
        return absl::InvalidArgumentError(
            absl::StrCat("got token ", id, " in the calibration text, expected 0 to ", config.vocab - 1));
      }
    }
  }
  return absl::OkStatus();
}

// The pass through the blocks.
class Pass {
 public:
  Pass(const model::Checkpoint& checkpoint, const Variant& variant, const CalibrationOptions& options,
       BlockStore& store)
      : checkpoint_(checkpoint),
        variant_(variant),
        options_(options),
        store_(store),
        method_(*FindCalibrated(variant.method)),
        device_(options.device) {}

  absl::Status Run(const CalibrationSet& set) {
    const model::ModelConfig& config = checkpoint_.config();
    const BlockFunction function(config, static_cast<int64_t>(set.samples[0].size()), device_);
    for (const std::vector<int32_t>& sample : set.samples) {
      auto embedded = Embed(checkpoint_, sample, device_);
      if (!embedded.ok()) return embedded.status();
      hidden_.push_back(*std::move(embedded));
    }
    for (int64_t index = 0; index < config.layers; ++index) {
      if (options_.progress && !options_.progress(index, config.layers)) {
        return absl::CancelledError("calibration was stopped; started again it goes on from the last finished block");
      }
      if (absl::Status done = OneBlock(index, function); !done.ok()) return done;
    }
    if (options_.progress) options_.progress(config.layers, config.layers);
    return absl::OkStatus();
  }

 private:
  // Leaves the stream after the block in hidden_.
  absl::Status OneBlock(int64_t index, const BlockFunction& function) {
    const bool last = index + 1 == checkpoint_.config().layers;
    absl::StatusOr<QuantizedBlock> quantized = store_.Get(index);
    if (!quantized.ok() && quantized.status().code() != absl::StatusCode::kNotFound) return quantized.status();
    const bool stored = quantized.ok();
    if (stored && last) return absl::OkStatus();
    auto block = LoadBlock(checkpoint_, index, device_);
    if (!block.ok()) return block.status();
    BlockRun run(index, checkpoint_.config(), *block, function, hidden_);
    if (!stored) {
      quantized = method_.quantize(variant_, run);
      if (!quantized.ok()) return quantized.status();
      if (absl::Status put = store_.Put(index, *quantized); !put.ok()) return put;
    }
    if (last) return absl::OkStatus();
    std::vector<at::Tensor> outputs = run.TakeOutputs();
    if (!method_.after_quantized && !outputs.empty()) {
      hidden_ = std::move(outputs);
      return absl::OkStatus();
    }
    const Block next = method_.after_quantized ? Dequantized(*quantized, device_) : *block;
    const BlockFunction::Hook hook = method_.hook != nullptr ? method_.hook(variant_, *quantized, device_) : Untouched;
    for (at::Tensor& sample : hidden_) sample = function.Run(next, sample, hook);
    return absl::OkStatus();
  }

  const model::Checkpoint& checkpoint_;
  const Variant& variant_;
  const CalibrationOptions& options_;
  BlockStore& store_;
  const CalibratedMethod& method_;
  const at::Device device_;
  std::vector<at::Tensor> hidden_;
};

}  // namespace

absl::Status Calibrate(const model::Checkpoint& checkpoint, const Variant& variant, const CalibrationSet& set,
                       const CalibrationOptions& options, BlockStore& store) {
  if (FindCalibrated(variant.method) == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(variant.name, " needs no calibration"));
  }
  if (absl::Status fits = FitsModel(variant, checkpoint.config()); !fits.ok()) return fits;
  if (absl::Status samples = CheckSamples(checkpoint.config(), set); !samples.ok()) return samples;
  return Guarded([&] {
    const c10::InferenceMode inference;
    if (options.threads > 0) at::set_num_threads(options.threads);
    return Pass(checkpoint, variant, options, store).Run(set);
  });
}

}  // namespace uaqf::quantize
