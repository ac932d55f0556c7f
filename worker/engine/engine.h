// The forward pass of one variant of one model, for one sequence or for a batch of them. The same code path serves
// every variant: precision is the only difference.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/checkpoint.h"
#include "worker/quantize/block_store.h"
#include "worker/quantize/variants.h"

namespace uaqf::engine {

inline constexpr int64_t kMostBatch = 32;

struct EngineOptions {
  // What computes: "cpu", or "cuda:N" for the N-th GPU that the driver lists.
  std::string device = "cpu";
  // Compute threads, the calling one included; 0 = one for each CPU of `cpu_set`. Without use on a GPU.
  int threads = 0;
  // CPUs the threads are pinned to, in order; empty = those the process may use.
  std::vector<int> cpu_set = {};
  // Positions of the KV cache, prompt and output together; 0 = the model's context, at most 4096.
  int64_t max_sequence_tokens = 0;
  // Sequences of a batch at most, 1 to kMostBatch; each has a KV cache of its own, which memory() counts.
  int64_t max_batch = 1;
  // The blocks of a variant that needs calibration; others need none. Borrowed until Create returns.
  quantize::BlockStore* blocks = nullptr;
};

// Bytes held, by use. What METHODS.md calls the memory of a variant is total().
struct EngineMemory {
  int64_t weights_bytes = 0;        // all weights as packed, scales included
  int64_t block_weights_bytes = 0;  // of these, the linear layers of the blocks: what quantization shrinks
  int64_t kv_cache_bytes = 0;
  // Activations and scratch of generation; the logits that Score and ReadLogits hold for a moment are not counted.
  int64_t workspace_bytes = 0;
  int64_t total() const { return weights_bytes + kv_cache_bytes + workspace_bytes; }
};

// Time that the device itself says it worked since the last Prefill or PrefillBatch began, ns. 0 where it was not asked
// for, or where the device has no clock of its own (the processor).
struct DeviceTimes {
  int64_t prefill_ns = 0;
  int64_t decode_ns = 0;
};

// Not thread-safe: one caller at a time. Every call returns when its work is done (nothing runs behind its back), and
// no thread of the engine spins between calls, unless KeepAwake asks for it. Equal calls on an equal engine give
// bit-equal results, whatever the number of threads.
class Engine {
 public:
  // See KeepAwake.
  class AwakeScope {
   public:
    virtual ~AwakeScope() = default;
  };

  // Loads layer by layer, so that the peak is the packed weights and one layer. Borrows nothing: the checkpoint may go
  // after this returns. INVALID_ARGUMENT when variant and model do not fit or the options are out of range. For a GPU
  // also: UNIMPLEMENTED (this build has no CUDA module, the variant is a quantized release, or max_batch is above
  // 1 and the KV cache quantized or the GPU not of compute capability 9.0), FAILED_PRECONDITION (module, driver or GPU
  // cannot be used), NOT_FOUND (no such GPU), RESOURCE_EXHAUSTED (its memory does not hold the variant).
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const model::Checkpoint& checkpoint,
                                                        const quantize::Variant& variant, const EngineOptions& options);

  // UNIMPLEMENTED: that kind of device has no kernels for the variant. So one can ask before calibration.
  static absl::Status CheckVariant(const quantize::Variant& variant, const std::string& device);

  virtual ~Engine() = default;

  // Empties the KV cache, runs the whole prompt, and returns the greedy next token (the lowest id among equals).
  // INVALID_ARGUMENT for an empty prompt, an id outside the vocabulary, or more tokens than max_sequence_tokens().
  [[nodiscard]] virtual absl::StatusOr<int32_t> Prefill(std::span<const int32_t> ids) = 0;
  // Appends one token and returns the greedy next one. FAILED_PRECONDITION before a Prefill, OUT_OF_RANGE when the
  // cache is full, INVALID_ARGUMENT for an id outside the vocabulary.
  [[nodiscard]] virtual absl::StatusOr<int32_t> Decode(int32_t token) = 0;

  // A batch: several sequences that are decoded together, each with a KV cache and a length of its own. It takes the
  // place of the sequence of Prefill, and the other way round. A batch of one is that sequence. Results of a sequence
  // do not depend on what the others hold, and are the same bits on every run with as many sequences. Beside another
  // number of sequences the last bits may differ on a GPU; on the processor up to 4 sequences are the same bits as one
  // alone, and all larger batches agree with each other.
  //
  // Empties all KV caches, runs each prompt into its own, and returns the greedy next token of each. INVALID_ARGUMENT
  // for no prompt, more than max_batch(), or a prompt that Prefill would refuse, whose index the message has; no cache
  // holds anything after an error.
  [[nodiscard]] virtual absl::StatusOr<std::vector<int32_t>> PrefillBatch(
      std::span<const std::span<const int32_t>> prompts) = 0;
  // Appends tokens[i] to sequence i of the last PrefillBatch and returns the greedy next ones. All sequences step
  // together: one that has ended goes on with any token, its result is ignored. Without effect: FAILED_PRECONDITION
  // before a PrefillBatch, OUT_OF_RANGE when a cache is full, INVALID_ARGUMENT for another number of tokens than
  // sequences or an id outside the vocabulary.
  [[nodiscard]] virtual absl::StatusOr<std::vector<int32_t>> DecodeBatch(std::span<const int32_t> tokens) = 0;
  // Tokens in each sequence's KV cache, of the last PrefillBatch; empty without a batch.
  virtual std::span<const int64_t> batch_positions() const = 0;

  // FP32 logits [vocab] at the last position of the last Prefill or Decode, or [sequences][vocab] of the last
  // PrefillBatch or DecodeBatch; valid until the next call. Empty in a KeepAwake scope that runs ahead on a GPU: the
  // next step has taken their place.
  virtual std::span<const float> logits() const = 0;

  // Teacher-forced negative log-likelihoods, in nats, of window[1..]: element i is -log p(window[i+1] | window[0..i]),
  // FP32 log-softmax. Empties the KV cache before and leaves it empty. Needs 2 tokens, at most max_sequence_tokens().
  [[nodiscard]] virtual absl::StatusOr<std::vector<double>> Score(std::span<const int32_t> window) = 0;

  // The logits of a window, position by position; so that two engines can be compared without holding either's.
  class LogitsReader {
   public:
    virtual ~LogitsReader() = default;
    // FP32 [vocab] that follow window[0..i], for i from 0 on; valid until the next call. OUT_OF_RANGE after the last,
    // i = window.size() - 2.
    [[nodiscard]] virtual absl::StatusOr<std::span<const float>> Next() = 0;
  };
  // Teacher-forced, the positions that Score scores; the same conditions. The engine serves no other call until the
  // reader, which must end first, is gone; the KV cache is empty then. `window` is borrowed as long.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<LogitsReader>> ReadLogits(std::span<const int32_t> window) = 0;

  // While the returned scope lives, the engine stays awake between calls: compute threads spin, which saves waking them
  // for every token. `most_steps` promises that at most so many Decode calls follow in the scope; above 0 a GPU begins
  // the next step with the token it has chosen itself, before the caller asks for it, so that it never waits for the
  // host. A caller that goes on with another token is served right, only slower. Nothing is in flight after the scope.
  // Hold one around a timed generation, never around a wait for input. It must end before the engine, on the thread
  // that began it. Scopes nest. A batch of several never runs ahead.
  [[nodiscard]] virtual std::unique_ptr<AwakeScope> KeepAwake(int64_t most_steps) = 0;
  [[nodiscard]] std::unique_ptr<AwakeScope> KeepAwake() { return KeepAwake(0); }

  // Whether device_times() is kept, which costs a few microseconds a step; off at first.
  virtual void TimeDevice(bool) {}
  virtual DeviceTimes device_times() const { return {}; }

  // Empties the KV caches.
  virtual void Reset() = 0;
  // Tokens in the KV cache of the sequence of Prefill; 0 in a batch.
  virtual int64_t position() const = 0;

  virtual int64_t max_sequence_tokens() const = 0;
  virtual int64_t max_batch() const = 0;
  virtual EngineMemory memory() const = 0;
  // Bytes one Decode reads at a context of so many tokens: packed weights, one embedding row and the KV cache. Decode
  // speed times this is the bandwidth used.
  virtual int64_t bytes_per_token(int64_t context) const = 0;
  // For records: "cpu" or "cuda", and what the kernels chose at run time ("avx512", "sm_90").
  virtual std::string backend() const = 0;
  virtual std::string kernel_build() const = 0;
  virtual int threads() const = 0;
};

}  // namespace uaqf::engine
