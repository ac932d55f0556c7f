// What a worker measures, as plain values. The wire has the same messages (record.proto, which also says what each
// figure means); only worker/link knows both, so that everything here can be used and tested without gRPC.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "worker/measure/task.h"

namespace uaqf::measure {

// One turn of a conversation.
struct Message {
  std::string role;
  std::string content;
};

// One item of a prompt set: either `text` or `messages`.
struct Prompt {
  std::string id;
  std::string text;
  std::vector<Message> messages;
  // How an answer is scored; nothing where it is not.
  std::optional<Task> task = {};
};

// A prompt set, or the pieces of a text, under its content-addressed name.
struct PromptSet {
  std::string name;
  std::vector<Prompt> prompts;
};

// How one generation is made.
struct GenerationRequest {
  // Exact input length in tokens, reached by a prose prefix or by truncation; 0 keeps the prompt's own.
  int32_t input_tokens = 0;
  // Seed of that prefix: the same for every variant and repeat of an item.
  uint64_t prose_seed = 0;
  // Renders a plain prompt as one user turn of the model's chat template. `messages` always are.
  bool chat = false;
  // Above 0: emits exactly this many tokens and ignores end tokens. 0: stops at an end token.
  int32_t output_tokens = 0;
  // Most tokens emitted when `output_tokens` is 0.
  int32_t max_output_tokens = 512;
  // Which repeat this is; says nothing about how to generate.
  int32_t repeat = 0;
  // Checked between tokens when given: true ends the generation with CANCELLED. Borrowed.
  const std::atomic<bool>* cancelled = nullptr;
};

// TimingRecord of the wire.
struct Timing {
  int32_t input_tokens = 0;
  int32_t output_tokens = 0;
  int64_t latency_ns = 0;
  int64_t tokenize_ns = 0;
  int64_t prefill_ns = 0;
  int64_t decode_ns = 0;
  int64_t detokenize_ns = 0;
  std::vector<int64_t> inter_token_ns;
  int64_t start_offset_ns = 0;
  std::string output_digest;
};

// GenerationRecord of the wire.
struct Generation {
  int32_t input_tokens = 0;
  int32_t output_tokens = 0;
  bool stopped = false;
  std::string output_digest;
};

// TrafficCell of the wire.
struct TrafficCell {
  int32_t batch = 0;
  int32_t input_tokens = 0;
  int32_t output_tokens = 0;
  int32_t first_prompt = 0;
};

// A batch to time: so many sequences together, each fed `input_tokens` and continued by `output_tokens`, ends ignored.
struct BatchRequest {
  // Borrowed for the call, one for each sequence; one may come several times, each with another seed.
  std::vector<const Prompt*> prompts;
  // Of the prose that fills each input.
  std::vector<uint64_t> prose_seeds;
  int32_t input_tokens = 0;
  int32_t output_tokens = 0;
  bool chat = false;
  // As GenerationRequest.
  const std::atomic<bool>* cancelled = nullptr;
};

// What a device does at most, measured; 0: not known.
struct DeviceLimits {
  double read_bytes_per_s = 0;
  double operations_per_s = 0;
};

// Bytes read and operations done by a phase of a batch.
struct Work {
  double bytes = 0;
  double operations = 0;
};

// TrafficRecord of the wire.
struct TrafficTiming {
  int32_t batch = 0;
  int32_t input_tokens = 0;
  int32_t output_tokens = 0;
  int64_t latency_ns = 0;
  int64_t tokenize_ns = 0;
  int64_t prefill_ns = 0;
  int64_t decode_ns = 0;
  int64_t detokenize_ns = 0;
  std::string output_digest;
  Work prefill;
  Work decode;
  DeviceLimits limits;
};

// WindowRecord of the wire.
struct WindowScore {
  int32_t scored_tokens = 0;
  double nll_sum = 0;
};

// ArticleRecord of the wire.
struct ArticleScore {
  int32_t scored_tokens = 0;
  double nll_sum = 0;
  int32_t words = 0;
  int32_t bytes = 0;
};

// One measurement with its place.
struct ItemResult {
  int32_t item = 0;
  int32_t repeat = 0;
  std::variant<Timing, Generation, WindowScore, TaskResult, WindowDivergence, ArticleScore, SummaryNote, TrafficTiming>
      body;
};

// Device of the wire.
struct Device {
  std::string id;
  std::string name;
  std::string backend;
  int32_t threads = 0;
  std::string isa;
  std::string driver;
  std::string cuda;
  // That its workers share; 0 for a processor, whose memory is not planned with.
  int64_t memory_bytes = 0;
};

// MemoryUse of the wire, bytes.
struct Memory {
  int64_t weights_bytes = 0;
  int64_t block_weights_bytes = 0;
  int64_t kv_cache_bytes = 0;
  int64_t workspace_bytes = 0;
  int64_t measured_peak_bytes = 0;
  int64_t kv_bytes_per_token = 0;
};

// What is hosted; does not change while it is.
struct Identity {
  std::string model_digest;
  // SHA-256 of `variant_config`.
  std::string variant_digest;
  // VariantConfiguration.configuration of the wire.
  std::string variant_config;
  // ChunkEvidence.tokenizer_digest of the wire.
  std::string tokenizer_digest;
};

// GpuEvidence of the wire: the GPU while a chunk ran.
struct GpuUse {
  double sm_mhz = 0;
  double memory_mhz = 0;
  // NVML's bits, idle left out.
  uint64_t slowdowns = 0;
  int64_t energy_mj = 0;
  int64_t power_capped_ns = 0;
  int64_t thermal_ns = 0;
  int temperature_c = 0;
  int64_t ecc_corrected = 0;
  int64_t ecc_uncorrected = 0;
  std::vector<std::string> foreign_processes;
};

// How the device was used while a chunk ran.
struct DeviceUse {
  double foreign_load = 0;
  int64_t involuntary_switches = 0;
  double cpu_mhz = 0;
  int64_t wall_ns = 0;
  // Nothing on a processor, or where the driver does not tell.
  std::optional<GpuUse> gpu;
  // What came from outside and spoils the figures; empty when nothing did.
  std::vector<std::string> taints;
};

}  // namespace uaqf::measure
