// What the checkpoint says the model is: the one description that engine, tokenizer and variants go by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/model/gguf.h"

namespace uaqf::model {

enum class RopeScaling {
  kNone,
  kLinear,   // all frequencies divided by `factor`
  kLlama3,   // low frequencies divided by `factor`, smooth in between
  kFactors,  // each frequency divided by its own entry of `frequency_factors` (GGUF's rope_freqs.weight)
};

struct Rope {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  double low_frequency_factor = 1.0;     // kLlama3
  double high_frequency_factor = 4.0;    // kLlama3
  int64_t original_context = 8192;       // kLlama3, tokens
  std::vector<float> frequency_factors;  // kFactors: head_dim / 2 values
};

struct ModelConfig {
  std::string architecture;  // "llama", "mistral" or "qwen2"
  std::string name;          // file stem or folder name
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ff = 0;  // width of the feed-forward network
  int64_t vocab = 0;
  int64_t context = 0;  // tokens the model was made for
  double rms_eps = 1e-5;
  Rope rope;
  int64_t sliding_window = 0;  // a position attends to itself and the window - 1 before it; 0 = to all
  bool tied_embeddings = false;
  bool qkv_bias = false;
  int32_t bos_id = -1;           // -1 = none
  std::vector<int32_t> eos_ids;  // any of them ends a generation
  // Format of a release that is quantized already ("Q4_1"): its dequantized values are the FP16 baseline, and its loss
  // is "relative to the Q4_1 release". Empty for F16, BF16 and F32.
  std::string release_format;
  // Of the activations that such a release is made for: 16, or 8 for INT8 with one scale a token.
  int activation_bits = 16;
};

// "llama, mistral, qwen2"
std::string_view KnownArchitectures();

// From the texts of a Hugging Face folder; `generation_config` may be empty. The result is checked by ValidateConfig.
// Says nothing of quantization: see quantization_config.h.
absl::StatusOr<ModelConfig> ParseHuggingFaceConfig(std::string_view config, std::string_view generation_config);

// From a GGUF file's metadata and table of tensors; rope_freqs.weight, which is data, is the caller's to add. The
// result is checked by ValidateConfig.
absl::StatusOr<ModelConfig> ParseGgufConfig(const GgufFile& file);

// Every dimension in a sane range and consistent with the others.
absl::Status ValidateConfig(const ModelConfig& config);

}  // namespace uaqf::model
