// One token of a Llama-like model as one captured CUDA graph: token, position and everything between live on the
// device.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <memory>

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/kv_cache.h"
#include "kernels/cuda/rounding.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

struct LayerTable;

struct DecodeConfig {
  int layers = 0;
  int hidden = 0;  // a multiple of 8, at most 8192
  int heads = 0;
  int kv_heads = 0;  // divides heads
  int head_dim = 0;  // a multiple of 16, at most 256
  int ff = 0;        // a multiple of 8
  int vocab = 0;
  int capacity = 0;  // positions of the KV cache
  int window = 0;    // sliding window: a token sees itself and the window - 1 before it; 0: all
  float rms_epsilon = 1e-5f;
  float attention_scale = 0;      // usually 1 / sqrt(head_dim)
  bool int8_activations = false;  // inputs of the block matrices quantized per token; row scales only
  int max_slots = 0;              // for experiments: chunks in flight of a warp at most; 0: as many as fit
  bool trace = false;             // for experiments: record clocks, see DecodeGraph::PrintTrace
  int kv_bits = 16;               // of cached keys and values: 16 (FP16), 8 or 4; with zeros 16, rounded 16 or 4
  Rounding rounding;              // of the inputs of block matrices, which have zeros then
};

// All pointers are device memory, borrowed: they must outlive the graph. The four matrices have the same format and
// group in all layers.
struct DecodeLayer {
  const DeviceMatrix* qkv = nullptr;      // rows q, k, v; kRotary with rotary_rows = (heads + kv_heads) * head_dim
  const DeviceMatrix* out = nullptr;      // [hidden, heads * head_dim], kPlain
  const DeviceMatrix* gate_up = nullptr;  // [2 ff, hidden], kGated
  const DeviceMatrix* down = nullptr;     // [hidden, ff], kPlain
  const float* qkv_bias = nullptr;        // each bias: FP32 [rows] in logical order, or null
  const float* out_bias = nullptr;
  const float* gate_up_bias = nullptr;
  const float* down_bias = nullptr;
  // Of INT8 activations that enter qkv, out, gate_up and down; 0: each token sets its own.
  float input_scales[4] = {0, 0, 0, 0};
  const float* attention_norm = nullptr;  // FP32 [hidden], 16-byte aligned
  const float* mlp_norm = nullptr;
  // FP16 [kv_heads][capacity][head_dim], keys after RoPE. 16-byte aligned. A step at position p reads p and what is
  // before it, and writes p. Positions never written need not be initialized.
  __half* keys = nullptr;
  __half* values = nullptr;
  // In their place with kv_bits of 8 or 4, each in the layout of kv_cache.h and of KvCacheBytes: codes
  // [kv_heads][capacity][row bytes], then FP16 scale and zero [kv_heads][capacity, rounded up to 4][2]. Keys are
  // quantized before RoPE, both from what FP16 rounds them to. A step attends to its own position as quantized, so that
  // it counts the same in later steps.
  uint8_t* quantized_keys = nullptr;
  uint8_t* quantized_values = nullptr;
};

struct DecodeModel {
  DecodeConfig config;
  const DecodeLayer* layers = nullptr;      // [config.layers], host memory; copied
  const DeviceMatrix* embedding = nullptr;  // FP16 [vocab, hidden], kPlain
  const DeviceMatrix* lm_head = nullptr;    // FP16 [vocab, hidden], kPlain; may be the embedding
  const float* final_norm = nullptr;        // FP32 [hidden]
  const float* rope_cos = nullptr;          // FP32 [capacity][head_dim / 2]; "rotate half" convention
  const float* rope_sin = nullptr;
  // Null, or the device's address of mapped host memory [capacity + 1]: the token chosen for each position, written as
  // soon as it is, a moment before the step ends.
  volatile int32_t* published = nullptr;
};

KvShape KvShapeOf(const DecodeConfig& config);

// Bytes one step reads at a context of so many tokens: packed weights with their scales, one embedding row, norms and
// the KV cache.
int64_t BytesPerToken(const DecodeModel& model, int64_t context);

// Not thread-safe: one caller at a time. All work is on the stream given to Create; calls return before it is done
// unless they say otherwise. Results are the same bits on every run on a device with as many multiprocessors, alone or
// beside other processes. The device must not run anything else that waits for this kernel: it fills the device.
class DecodeGraph {
 public:
  // Allocates the workspace, captures the graph and waits for it to be ready. cudaErrorInvalidValue with a message for
  // a shape outside the limits above, cudaErrorMemoryAllocation when memory is exhausted.
  static Status Create(const DecodeModel& model, cudaStream_t stream, std::unique_ptr<DecodeGraph>* out);
  ~DecodeGraph();
  DecodeGraph(const DecodeGraph&) = delete;
  DecodeGraph& operator=(const DecodeGraph&) = delete;

  // The next step reads `token` at `position`. Before it, positions 0 .. position - 1 of the caches must be filled.
  Status Set(int32_t token, int32_t position);
  // Replaces the token only: for tokens that the host chooses.
  Status SetToken(int32_t token);
  // One token: reads token and position, writes the KV cache and the logits, and leaves the greedy next token (lowest
  // id among equals, NaN never) and the next position in their place. A step past the capacity does nothing and is
  // reported by the next Read or Tokens.
  Status Step();

  // Waits for the stream; the greedy token after the last step.
  Status Read(int32_t* next_token);
  // Waits; tokens at positions [begin, end): those set or chosen since Create.
  Status Tokens(int32_t begin, int32_t end, int32_t* tokens);

  const float* logits() const { return logits_; }  // FP32 [vocab], device memory, of the last step
  float* mutable_logits() { return logits_; }      // for a prefill that ends with its own LM head
  int64_t workspace_bytes() const { return workspace_bytes_; }
  // With config.trace: waits, and prints for each op of a layer the mean microseconds (at `ghz`) that a block spends
  // waiting, staging and multiplying in the last step.
  Status PrintTrace(double ghz);
  // For tests: FP32 activations of the last layer of the last step. query [heads * head_dim] and own
  // [2][kv_heads * head_dim], key and value of the position, after RoPE, but before it and before quantization over a
  // quantized cache; attended [heads * head_dim] and gated [ff] in the order of the columns that meet them, residual
  // [hidden] after the last layer.
  const float* query() const;
  const float* own() const;
  const float* attended() const;
  const float* gated() const;
  const float* residual() const;

 private:
  struct Launch;
  DecodeGraph() = default;
  Status Allocate(const DecodeModel& model);
  // Norms before matrices that take their input in another order, in that order, for `table`.
  Status OrderNorms(const DecodeModel& model, LayerTable* table);
  Status AllocateRowMaps(const DecodeModel& model);
  Status Capture();
  template <typename T>
  Status Reserve(T** pointer, int64_t count);
  Status CheckRefused();

  std::unique_ptr<Launch> launch_;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
  float* logits_ = nullptr;
  void* buffers_[24] = {};
  int buffer_count_ = 0;
  int64_t workspace_bytes_ = 0;
};

}  // namespace uaqf::cuda
