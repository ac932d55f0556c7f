#include "worker/quantize/calibrate.h"

#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <optional>

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

// Tokens that go through a block together: on a GPU enough to keep it busy, on a processor one sample.
constexpr int64_t kTokensOnGpu = 8192;

// Seconds once all that was asked of `device` is done.
double SecondsOn(at::Device device) {
  if (!device.is_cpu()) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    guard.synchronizeStream(guard.getStream(device));
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
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
        device_(options.device) {
    if (options.timed) times_.emplace([this] { return SecondsOn(device_); });
  }

  absl::StatusOr<CalibrationCost> Run(const CalibrationSet& set) {
    const model::ModelConfig& config = checkpoint_.config();
    const auto length = static_cast<int64_t>(set.samples[0].size());
    const BlockFunction function(config, length, device_);
    Enter(CalibrationStage::kLoad);
    if (absl::Status embedded = EmbedSamples(set, length); !embedded.ok()) return embedded;
    const int64_t blocks = options_.blocks > 0 ? std::min(options_.blocks, config.layers) : config.layers;
    for (int64_t index = 0; index < blocks; ++index) {
      if (options_.progress && !options_.progress(index, blocks)) {
        return absl::CancelledError("calibration was stopped; started again it goes on from the last finished block");
      }
      if (absl::Status done = OneBlock(index, function); !done.ok()) return done;
    }
    if (options_.progress) options_.progress(blocks, blocks);
    return Cost();
  }

 private:
  void Enter(CalibrationStage stage) {
    if (times_) times_->Enter(stage);
  }

  absl::Status EmbedSamples(const CalibrationSet& set, int64_t length) {
    const int64_t together = device_.is_cpu() ? 1 : std::max<int64_t>(1, kTokensOnGpu / length);
    std::vector<at::Tensor> some;
    for (const std::vector<int32_t>& sample : set.samples) {
      auto embedded = Embed(checkpoint_, sample, device_);
      if (!embedded.ok()) return embedded.status();
      some.push_back(*std::move(embedded));
      if (static_cast<int64_t>(some.size()) < together && &sample != &set.samples.back()) continue;
      hidden_.push_back(some.size() > 1 ? at::cat(some, 0) : some[0]);
      some.clear();
    }
    return absl::OkStatus();
  }

  // Leaves the stream after the block in hidden_.
  absl::Status OneBlock(int64_t index, const BlockFunction& function) {
    const bool last = index + 1 == checkpoint_.config().layers;
    Enter(CalibrationStage::kLoad);
    absl::StatusOr<QuantizedBlock> quantized = store_.Get(index);
    if (!quantized.ok() && quantized.status().code() != absl::StatusCode::kNotFound) return quantized.status();
    const bool stored = quantized.ok();
    if (stored && last) return absl::OkStatus();
    auto block = LoadBlock(checkpoint_, index, device_);
    if (!block.ok()) return block.status();
    BlockRun run(index, checkpoint_.config(), *block, function, hidden_, times_ ? &*times_ : nullptr);
    if (!stored) {
      quantized = method_.quantize(variant_, run);
      if (!quantized.ok()) return quantized.status();
      Enter(CalibrationStage::kStore);
      if (absl::Status put = store_.Put(index, *quantized); !put.ok()) return put;
    }
    if (last) return absl::OkStatus();
    Enter(CalibrationStage::kRun);
    if (std::vector<at::Tensor> outputs = run.TakeOutputs(); !outputs.empty()) {
      hidden_ = std::move(outputs);
      return absl::OkStatus();
    }
    const FastProducts fast;
    const Block next = method_.after_quantized ? Dequantized(*quantized, device_) : *block;
    const BlockFunction::Hook hook = method_.hook != nullptr ? method_.hook(variant_, *quantized, device_) : Untouched;
    for (at::Tensor& sample : hidden_) sample = function.Run(next, sample, hook);
    return absl::OkStatus();
  }

  CalibrationCost Cost() {
    CalibrationCost cost;
    if (times_) {
      times_->Leave();
      cost.stage_seconds = times_->seconds();
    }
    if (!device_.is_cpu()) {
      const auto stats = c10::getDeviceAllocator(device_.type())->getDeviceStats(device_.index());
      cost.device_bytes = stats.reserved_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
    }
    return cost;
  }

  const model::Checkpoint& checkpoint_;
  const Variant& variant_;
  const CalibrationOptions& options_;
  BlockStore& store_;
  const CalibratedMethod& method_;
  const at::Device device_;
  std::optional<StageTimes> times_;
  std::vector<at::Tensor> hidden_;  // the residual stream, of some samples each
};

}  // namespace

absl::StatusOr<CalibrationCost> Calibrate(const model::Checkpoint& checkpoint, const Variant& variant,
                                          const CalibrationSet& set, const CalibrationOptions& options,
                                          BlockStore& store) {
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
