#include "worker/evaluate/quantization_cost.h"

#include <sys/resource.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "worker/quantize/block_file.h"

namespace uaqf::evaluate {
namespace {

constexpr int32_t kDefaultSamples = 128;

// Does with blocks what an artifact does, the disk aside.
class NoStore final : public quantize::BlockStore {
 public:
  absl::StatusOr<quantize::QuantizedBlock> Get(int64_t) override { return absl::NotFoundError("nothing is kept"); }
  absl::Status Put(int64_t index, const quantize::QuantizedBlock& block) override {
    bytes_ += static_cast<int64_t>(quantize::WriteBlock(block, /*key=*/"", index).size());
    return absl::OkStatus();
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

absl::StatusOr<quantize::CalibrationSet> RandomSamples(const model::ModelConfig& config,
                                                       quantize::CalibrationSpec spec) {
  if (spec.samples == 0) spec.samples = kDefaultSamples;
  std::mt19937_64 random(spec.seed);
  std::vector<int32_t> ids(static_cast<size_t>(spec.samples) * static_cast<size_t>(spec.length));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint64_t>(config.vocab));
  return quantize::ChooseSamples(ids, spec);
}

}  // namespace

absl::StatusOr<QuantizationCost> MeasureQuantization(const OpenModel& model, const quantize::Variant& variant,
                                                     const CalibrationRequest& request) {
  const bool synthetic = model.checkpoint().synthetic();
  if (absl::Status ready = ReadyDevice(request.options.device); !ready.ok()) return ready;
  const auto set =
      synthetic ? RandomSamples(model.config(), SpecOf(model, variant)) : SamplesOfText(model, variant, request.text);
  if (!set.ok()) return set.status();
  NoStore store;
  quantize::CalibrationOptions options = request.options;
  options.timed = true;
  auto cost = quantize::Calibrate(model.checkpoint(), variant, *set, options, store);
  if (!cost.ok()) return cost.status();
  QuantizationCost all;
  all.samples = static_cast<int64_t>(set->samples.size());
  all.sample_tokens = static_cast<int64_t>(set->samples[0].size());
  all.blocks = options.blocks > 0 ? std::min(options.blocks, model.config().layers) : model.config().layers;
  all.stage_seconds = cost->stage_seconds;
  all.seconds = std::accumulate(all.stage_seconds.begin(), all.stage_seconds.end(), 0.0);
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) all.host_bytes = int64_t{usage.ru_maxrss} * 1024;
  all.device_bytes = cost->device_bytes;
  all.artifact_bytes = store.bytes();
  return all;
}

}  // namespace uaqf::evaluate
