// One token of each of several sequences as a captured CUDA graph of ordinary kernels: tokens, positions and all
// between live on the device. For one sequence decode_graph.h is faster.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>

#include "kernels/cuda/batch.h"
#include "kernels/cuda/decode_graph.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

struct BatchOptions {
  int most_sequences = 0;  // 2 to kMostSequences
  // From one sequence's keys or values of a layer to the next one's, in FP16 values. The model's caches are those of
  // the first.
  int64_t cache_stride = 0;
};

// Not thread-safe: one caller at a time. All work is on the stream given to Create; calls return before it is done
// unless they say otherwise. A sequence's results are the same bits on every run with as many sequences on a device
// with as many multiprocessors, whatever the other sequences hold; with another number of them the last bits may
// differ.
class BatchGraph {
 public:
  // What `model` points to is borrowed and must outlive this; its layers are copied. Allocates the workspace.
  // cudaErrorInvalidValue with a message for quantized caches or a shape outside the limits, cudaErrorNotSupported on a
  // device without compute capability 9.0, cudaErrorMemoryAllocation when memory is exhausted.
  static Status Create(const DecodeModel& model, const BatchOptions& options, cudaStream_t stream,
                       std::unique_ptr<BatchGraph>* out);
  ~BatchGraph();
  BatchGraph(const BatchGraph&) = delete;
  BatchGraph& operator=(const BatchGraph&) = delete;

  // Before steps of so many sequences, at the beginning of a generation; the first time it captures their graph and
  // waits. What caches hold at position 0 is lost.
  Status Prepare(int sequences);
  // Sequence i reads tokens[i] at positions[i] in the next step; before it the positions before that must be filled.
  // Host memory of as many as Prepare was told, read before the call returns.
  Status Set(const int32_t* tokens, const int32_t* positions);
  // Replaces the tokens only: for those that the host chooses.
  Status SetTokens(const int32_t* tokens);
  // A token of each sequence: writes caches and logits, and leaves the greedy next tokens (the lowest id among equals,
  // NaN never) and the next positions in their places. No position may be at the capacity.
  Status Step();
  // Waits for the stream; the greedy tokens after the last step.
  Status Read(int32_t* tokens);

  // FP32 [sequences][vocab], device memory, of the last step.
  const float* logits() const;
  float* mutable_logits();  // for a prefill that ends with its own LM head
  int64_t workspace_bytes() const;

 private:
  struct State;
  BatchGraph() = default;
  std::unique_ptr<State> state_;
};

}  // namespace uaqf::cuda
