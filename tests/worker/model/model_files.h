// Writes small models in the formats the readers know, for tests of everything above the readers.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "worker/model/model_config.h"

namespace uaqf::test {

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

void WriteFile(const std::string& path, std::string_view bytes);

// A safetensors file of these tensors as F32.
std::string Safetensors(const std::vector<Tensor>& tensors);
// A safetensors file with this header, right or wrong, and so many bytes of zeros.
std::string SafetensorsOf(std::string_view header, size_t data_bytes);

// Writes GGUF byte by byte; every method appends. The counts in the header are what the caller says.
class GgufBytes {
 public:
  GgufBytes(uint64_t tensors, uint64_t pairs, uint32_t version = 3);
  GgufBytes& Raw(std::string_view bytes);
  GgufBytes& U32(uint32_t value);
  GgufBytes& U64(uint64_t value);
  GgufBytes& Text(std::string_view text);
  GgufBytes& StringPair(std::string_view key, std::string_view value);
  GgufBytes& U32Pair(std::string_view key, uint32_t value);
  GgufBytes& F32Pair(std::string_view key, float value);
  GgufBytes& StringsPair(std::string_view key, const std::vector<std::string>& values);
  // `dims` with the fastest first, as the file has them.
  GgufBytes& TensorRow(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset);
  GgufBytes& Pad(size_t alignment = 32);
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// A config for a random model: 2 layers, hidden 64, 4 heads, 2 KV heads, ff 96, vocabulary 128, context 128.
model::ModelConfig TinyConfig();
// Seeded weights for it, under Hugging Face's names; every value is one that FP16 holds.
std::vector<Tensor> RandomWeights(const model::ModelConfig& config, uint64_t seed);
// config.json as Hugging Face writes it.
nlohmann::json HuggingFaceJson(const model::ModelConfig& config);
// config.json and model.safetensors in `folder`, which exists.
void WriteHuggingFace(const std::string& folder, const nlohmann::json& config, const std::vector<Tensor>& tensors);
// The same model as a llama-architecture GGUF file of F32, with the rows of q and k interleaved as that format has
// them.
std::string LlamaGguf(const model::ModelConfig& config, const std::vector<Tensor>& tensors);

// llama2.c's legacy checkpoint as a Hugging Face folder: its RoPE turns neighbours, so rows of q and k move.
void WriteLlama2cAsHuggingFace(const std::string& checkpoint, const std::string& folder);

// The stories260K model as a Hugging Face folder with its tokenizer, named "stories260k", in a fresh folder of models.
// Empty when the shared data is missing.
std::string StoriesModel();

}  // namespace uaqf::test
