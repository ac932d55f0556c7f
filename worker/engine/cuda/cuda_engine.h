// The engine on a GPU: prefill by libtorch and our kernels, decode by one captured graph a token; of a batch, a graph a
// step (cuda_engine_batch.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/cuda/batch_graph.h"
#include "kernels/cuda/decode_graph.h"
#include "worker/engine/cuda/cuda_weights.h"
#include "worker/engine/cuda/device_buffer.h"
#include "worker/engine/cuda/prefill.h"
#include "worker/engine/cuda/stopwatch.h"
#include "worker/engine/engine.h"
#include "worker/engine/read_logits.h"

namespace uaqf::engine {

class CudaEngine final : public Engine {
 public:
  // As Engine::Create, for the GPU `ordinal`.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const model::Checkpoint& checkpoint,
                                                        const quantize::Variant& variant, const EngineOptions& options,
                                                        int ordinal);
  ~CudaEngine() override;

  absl::StatusOr<int32_t> Prefill(std::span<const int32_t> ids) override;
  absl::StatusOr<int32_t> Decode(int32_t token) override;
  absl::StatusOr<std::vector<int32_t>> PrefillBatch(std::span<const std::span<const int32_t>> prompts) override;
  absl::StatusOr<std::vector<int32_t>> DecodeBatch(std::span<const int32_t> tokens) override;
  std::span<const int64_t> batch_positions() const override { return batch_; }
  std::span<const float> logits() const override;
  absl::StatusOr<std::vector<double>> Score(std::span<const int32_t> window) override;
  absl::StatusOr<std::unique_ptr<LogitsReader>> ReadLogits(std::span<const int32_t> window) override;
  using Engine::KeepAwake;
  std::unique_ptr<AwakeScope> KeepAwake(int64_t most_steps) override;
  void TimeDevice(bool on) override { time_device_ = on; }
  DeviceTimes device_times() const override;
  void Reset() override;
  int64_t position() const override { return batch_.empty() ? position_ : 0; }
  int64_t max_sequence_tokens() const override { return capacity_; }
  int64_t max_batch() const override { return max_batch_; }
  EngineMemory memory() const override;
  int64_t bytes_per_token(int64_t context) const override;
  std::string backend() const override { return "cuda"; }
  std::string kernel_build() const override { return kernel_build_; }
  int threads() const override { return 0; }

 private:
  class Scope;

  CudaEngine(const model::ModelConfig& config, const cuda::KvShape& kv, int64_t max_batch, int ordinal,
             cudaStream_t stream);

  absl::Status Load(const model::Checkpoint& checkpoint, const quantize::Variant& variant,
                    quantize::BlockStore* blocks);
  absl::Status Allocate();
  absl::Status MakeGraph(const quantize::Variant& variant);
  absl::Status WarmUp();

  absl::StatusOr<int32_t> PrefillAll(std::span<const int32_t> ids);
  // A whole prompt into the cache of a sequence; its logits and greedy next token, both device memory.
  absl::Status PrefillSequence(std::span<const int32_t> ids, int64_t sequence, float* logits, int32_t* next);
  absl::StatusOr<int32_t> DecodeOne(int32_t token);
  absl::Status PrefillSequences(std::span<const std::span<const int32_t>> prompts);
  absl::Status StepBatch(std::span<const int32_t> tokens);
  absl::Status ScoreAll(std::span<const int32_t> window, std::vector<double>& nll);
  // Puts the logits of the next positions of a window into many_logits_.
  absl::StatusOr<std::span<const float>> NextLogits(WindowPass& pass);
  // Launches the step at position_ + in_flight_.
  absl::Status Launch();
  // Puts a step on the stream, with a watch around it if the device is timed.
  absl::Status Timed(const std::function<cuda::Status()>& step);
  // Waits until the token chosen at `position` is known.
  absl::StatusOr<int32_t> Await(int64_t position);
  // Waits for the stream; nothing is in flight afterwards.
  absl::Status Drain();
  volatile int32_t* Slot(int64_t position) const { return chosen_.host<int32_t>() + position; }

  const model::ModelConfig config_;
  const int64_t capacity_;
  const cuda::KvShape kv_;
  const int64_t max_batch_;
  const int ordinal_;
  const cudaStream_t stream_;
  std::string kernel_build_;

  CudaWeights weights_;
  DeviceBuffer rope_cos_, rope_sin_;
  DeviceBuffer cache_;   // [layer][keys, values][sequence], each as kv_cache.h says
  DeviceBuffer next_;    // [sequence]: the token that a prefill chose
  MappedBuffer chosen_;  // [capacity + 1]: the token chosen for each position, kNone until it is
  std::unique_ptr<engine::Prefill> prefill_;
  std::vector<cuda::DecodeLayer> layers_;
  cuda::DecodeModel model_;
  std::unique_ptr<cuda::DecodeGraph> graph_;
  std::unique_ptr<cuda::BatchGraph> batch_graph_;  // null where max_batch_ is 1

  int64_t position_ = 0;
  // Steps launched beyond position_, with the device's own tokens, and how many more may still be asked for.
  int64_t in_flight_ = 0;
  int64_t steps_left_ = 0;
  // What the device will read next; only meaningful while armed_.
  int32_t predicted_ = 0;
  bool armed_ = false;
  // Of a batch: positions of its sequences, and what the device will read next. A batch of one is the sequence of
  // Prefill, at position_.
  std::vector<int64_t> batch_;
  std::vector<int32_t> batch_predicted_;
  bool batch_armed_ = false;
  mutable std::vector<float> logits_;
  mutable bool logits_current_ = false;
  MappedBuffer many_logits_;  // of ReadLogits, FP32 [Prefill::kLogitsTokens][vocab]; made by the first

  bool time_device_ = false;
  std::unique_ptr<Stopwatch> prefill_watch_;
  std::vector<std::unique_ptr<Stopwatch>> step_watches_;
  size_t steps_timed_ = 0;
};

}  // namespace uaqf::engine
