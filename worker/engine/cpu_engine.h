// The engine on the processor: our kernels for prefill and decode alike. At prefill libtorch's FP32 product reached 92
// GFLOP/s on a core where ours reaches 220 (100 tokens, 1536 x 576) and reads packed weights as they are; its BF16
// product is faster but has 8 bits. So there is no OpenMP in the worker either, whose threads would spin beside the
// pool's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/aligned_buffer.h"
#include "kernels/matvec.h"
#include "kernels/thread_pool.h"
#include "worker/engine/cpu_kv_cache.h"
#include "worker/engine/engine.h"
#include "worker/engine/read_logits.h"
#include "worker/engine/weights.h"
#include "worker/model/rope_table.h"

namespace uaqf::engine {

class CpuEngine : public Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const model::Checkpoint& checkpoint,
                                                        const quantize::Variant& variant, const EngineOptions& options);

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
  void Reset() override;
  int64_t position() const override { return position_; }
  int64_t max_sequence_tokens() const override { return capacity_; }
  int64_t max_batch() const override { return static_cast<int64_t>(caches_.size()); }
  EngineMemory memory() const override;
  int64_t bytes_per_token(int64_t context) const override;
  std::string backend() const override { return "cpu"; }
  std::string kernel_build() const override;
  int threads() const override { return pool_->lanes(); }

 private:
  // Activations of up to `tokens` tokens, FP32, row-major [tokens, width].
  struct Workspace {
    Workspace(const model::ModelConfig& config, int64_t tokens);
    int64_t bytes() const;
    int64_t tokens;
    kernels::AlignedBuffer residual, normed, q, k, v, attended, gate, up;
  };

  // Tokens that go through the layers together: neighbours of one sequence, the first at `position`; or one of each
  // sequence of the batch, at its own position.
  struct Step {
    std::span<const int32_t> ids;
    size_t sequence = 0;
    int64_t position = 0;
    bool batch = false;
  };

  CpuEngine(const model::ModelConfig& config, const quantize::Variant& variant, int64_t capacity, int64_t max_batch,
            std::unique_ptr<kernels::ThreadPool> pool, Weights weights);

  // At most workspace_.tokens of them; leaves the residual stream after the last layer in the workspace.
  void Forward(const Step& step);
  void ForwardMany(const LayerWeights& layer, int64_t index, const Step& step);
  void ForwardOne(const LayerWeights& layer, int64_t index, const Step& step);
  // Of the token at this index of the workspace: turns query and key, and moves key and value into its cache.
  void RotateAndStore(int64_t layer, const Step& step, int64_t token);
  void AttendMany(int64_t layer, const Step& step);
  void Norm(const std::vector<float>& weight, int64_t tokens);
  // A whole prompt into the cache of a sequence; the index of its last token in the workspace.
  int64_t PrefillSequence(std::span<const int32_t> ids, size_t sequence);
  // From the residual stream of one token of the workspace, which is moved to the front for it, to `logits`.
  int32_t NextToken(int64_t token_in_workspace, float* logits);
  // Of the first `count` tokens of the workspace.
  std::vector<int32_t> NextTokens(int64_t count);
  float* LogitsOf(size_t sequence) { return logits_.data() + sequence * static_cast<size_t>(config_.vocab); }
  // Puts the logits [count, vocab] of the next positions of a window into many_logits_ and returns how many they are; 0
  // at the end: a forward pass of as many tokens as the workspace holds, then the LM head for kScoreTokens of them.
  int64_t NextLogits(WindowPass& pass);

  const model::ModelConfig config_;
  // How x enters a layer that reads it, and those beside it that do. Sequences of a batch share no scale.
  kernels::Activations ActivationsOf(const Linear& linear, bool batch = false) const;

  const kernels::Activations activations_;  // unless the layer has a fixed scale
  const int64_t capacity_;                  // positions of the KV cache
  const std::unique_ptr<kernels::ThreadPool> pool_;
  const Weights weights_;
  const model::RopeTable rope_;
  std::deque<CpuKvCache> caches_;  // of each sequence of a batch; the first is also that of Prefill
  Workspace workspace_;
  std::vector<float> logits_;           // [max_batch][vocab]
  kernels::AlignedBuffer many_logits_;  // FP32 [kScoreTokens, vocab]; made by the first Score
  int64_t position_ = 0;
  std::vector<int64_t> batch_;  // positions of the batch's sequences
};

}  // namespace uaqf::engine
