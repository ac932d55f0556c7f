#include "tests/worker/model/model_files.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "tests/support/test_data.h"

namespace uaqf::test {
namespace {

template <typename T>
void Append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

int64_t Count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

// Rows (2i, 2i + 1) of every head to (i, i + half).
std::vector<float> RowsToHalves(const std::vector<float>& in, int64_t rows, int64_t columns, int64_t head_dim) {
  std::vector<float> out(in.size());
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t within = row % head_dim;
    const int64_t to = row - within + within / 2 + (within % 2) * (head_dim / 2);
    std::copy_n(in.begin() + row * columns, columns, out.begin() + to * columns);
  }
  return out;
}

// The inverse.
std::vector<float> RowsToNeighbours(const std::vector<float>& in, int64_t rows, int64_t columns, int64_t head_dim) {
  std::vector<float> out(in.size());
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t within = row % head_dim;
    const int64_t from = row - within + within / 2 + (within % 2) * (head_dim / 2);
    std::copy_n(in.begin() + from * columns, columns, out.begin() + row * columns);
  }
  return out;
}

std::string GgufName(std::string name) {
  static const std::map<std::string, std::string> kWhole = {{"model.embed_tokens.weight", "token_embd.weight"},
                                                            {"model.norm.weight", "output_norm.weight"},
                                                            {"lm_head.weight", "output.weight"}};
  if (const auto found = kWhole.find(name); found != kWhole.end()) return found->second;
  static const std::pair<const char*, const char*> kParts[] = {
      {"model.layers.", "blk."},           {"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},   {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"}, {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"}};
  for (const auto& [from, to] : kParts) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, std::strlen(from), to);
  }
  return name;
}

}  // namespace

void WriteFile(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  ASSERT_TRUE(out.good()) << "cannot write " << path;
}

std::string SafetensorsOf(std::string_view header, size_t data_bytes) {
  std::string file;
  Append<uint64_t>(file, header.size());
  return file.append(header).append(data_bytes, '\0');
}

std::string Safetensors(const std::vector<Tensor>& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const Tensor& tensor : tensors) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float));
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  return SafetensorsOf(header.dump(), 0) + data;
}

GgufBytes::GgufBytes(uint64_t tensors, uint64_t pairs, uint32_t version) {
  Raw("GGUF").U32(version).U64(tensors).U64(pairs);
}

GgufBytes& GgufBytes::Raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

GgufBytes& GgufBytes::U32(uint32_t value) {
  Append(bytes_, value);
  return *this;
}

GgufBytes& GgufBytes::U64(uint64_t value) {
  Append(bytes_, value);
  return *this;
}

GgufBytes& GgufBytes::Text(std::string_view text) { return U64(text.size()).Raw(text); }

GgufBytes& GgufBytes::StringPair(std::string_view key, std::string_view value) { return Text(key).U32(8).Text(value); }

GgufBytes& GgufBytes::U32Pair(std::string_view key, uint32_t value) { return Text(key).U32(4).U32(value); }

GgufBytes& GgufBytes::F32Pair(std::string_view key, float value) {
  Text(key).U32(6);
  Append(bytes_, value);
  return *this;
}

GgufBytes& GgufBytes::StringsPair(std::string_view key, const std::vector<std::string>& values) {
  Text(key).U32(9).U32(8).U64(values.size());
  for (const std::string& value : values) Text(value);
  return *this;
}

GgufBytes& GgufBytes::TensorRow(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                                uint64_t offset) {
  Text(name).U32(static_cast<uint32_t>(dims.size()));
  for (const uint64_t size : dims) U64(size);
  return U32(type).U64(offset);
}

GgufBytes& GgufBytes::Pad(size_t alignment) {
  bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, '\0');
  return *this;
}

model::ModelConfig TinyConfig() {
  model::ModelConfig config;
  config.architecture = "llama";
  config.hidden = 64;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.ff = 96;
  config.vocab = 128;
  config.context = 128;
  return config;
}

std::vector<Tensor> RandomWeights(const model::ModelConfig& c, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Tensor> tensors;
  // Multiples of 2^-10 below 1 in size have at most 10 bits: FP16 holds them.
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, double centre, int spread) {
    std::uniform_int_distribution<int> draw(-spread, spread);
    std::vector<float> values(static_cast<size_t>(Count(shape)));
    for (float& value : values) value = static_cast<float>(centre + draw(random) / 1024.0);
    tensors.push_back({name, std::move(shape), std::move(values)});
  };
  const int64_t q = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  add("model.embed_tokens.weight", {c.vocab, c.hidden}, 0, 900);
  add("model.norm.weight", {c.hidden}, 1, 200);
  if (!c.tied_embeddings) add("lm_head.weight", {c.vocab, c.hidden}, 0, 300);
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm.weight", {c.hidden}, 1, 200);
    add(prefix + "post_attention_layernorm.weight", {c.hidden}, 1, 200);
    add(prefix + "self_attn.q_proj.weight", {q, c.hidden}, 0, 300);
    add(prefix + "self_attn.k_proj.weight", {kv, c.hidden}, 0, 300);
    add(prefix + "self_attn.v_proj.weight", {kv, c.hidden}, 0, 300);
    add(prefix + "self_attn.o_proj.weight", {c.hidden, q}, 0, 300);
    add(prefix + "mlp.gate_proj.weight", {c.ff, c.hidden}, 0, 300);
    add(prefix + "mlp.up_proj.weight", {c.ff, c.hidden}, 0, 300);
    add(prefix + "mlp.down_proj.weight", {c.hidden, c.ff}, 0, 300);
    if (!c.qkv_bias) continue;
    add(prefix + "self_attn.q_proj.bias", {q}, 0, 900);
    add(prefix + "self_attn.k_proj.bias", {kv}, 0, 900);
    add(prefix + "self_attn.v_proj.bias", {kv}, 0, 900);
  }
  return tensors;
}

nlohmann::json HuggingFaceJson(const model::ModelConfig& c) {
  nlohmann::json json = {{"model_type", c.architecture},
                         {"hidden_size", c.hidden},
                         {"num_hidden_layers", c.layers},
                         {"num_attention_heads", c.heads},
                         {"num_key_value_heads", c.kv_heads},
                         {"head_dim", c.head_dim},
                         {"intermediate_size", c.ff},
                         {"vocab_size", c.vocab},
                         {"max_position_embeddings", c.context},
                         {"rms_norm_eps", c.rms_eps},
                         {"rope_theta", c.rope.theta},
                         {"hidden_act", "silu"},
                         {"tie_word_embeddings", c.tied_embeddings},
                         {"bos_token_id", 1},
                         {"eos_token_id", 2}};
  if (c.sliding_window > 0) json["sliding_window"] = c.sliding_window;
  return json;
}

void WriteHuggingFace(const std::string& folder, const nlohmann::json& config, const std::vector<Tensor>& tensors) {
  WriteFile(folder + "/config.json", config.dump(2));
  WriteFile(folder + "/model.safetensors", Safetensors(tensors));
}

std::string LlamaGguf(const model::ModelConfig& c, const std::vector<Tensor>& tensors) {
  GgufBytes file(tensors.size(), 10);
  file.StringPair("general.architecture", "llama")
      .U32Pair("llama.embedding_length", static_cast<uint32_t>(c.hidden))
      .U32Pair("llama.block_count", static_cast<uint32_t>(c.layers))
      .U32Pair("llama.attention.head_count", static_cast<uint32_t>(c.heads))
      .U32Pair("llama.attention.head_count_kv", static_cast<uint32_t>(c.kv_heads))
      .U32Pair("llama.feed_forward_length", static_cast<uint32_t>(c.ff))
      .U32Pair("llama.context_length", static_cast<uint32_t>(c.context))
      .F32Pair("llama.attention.layer_norm_rms_epsilon", static_cast<float>(c.rms_eps))
      .F32Pair("llama.rope.freq_base", static_cast<float>(c.rope.theta))
      .U32Pair("tokenizer.ggml.eos_token_id", 2);
  std::string data;
  for (const Tensor& tensor : tensors) {
    std::vector<float> values = tensor.values;
    const bool turns = tensor.name.find("q_proj.weight") != std::string::npos ||
                       tensor.name.find("k_proj.weight") != std::string::npos;
    if (turns) values = RowsToNeighbours(values, tensor.shape[0], tensor.shape[1], c.head_dim);
    file.TensorRow(GgufName(tensor.name), {tensor.shape.rbegin(), tensor.shape.rend()}, 0, data.size());
    data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    data.resize((data.size() + 31) / 32 * 32, '\0');
  }
  return file.Pad().bytes() + data;
}

void WriteLlama2cAsHuggingFace(const std::string& checkpoint, const std::string& folder) {
  const std::string bytes = ReadFile(checkpoint);
  int32_t head[7];
  ASSERT_GE(bytes.size(), sizeof(head));
  std::memcpy(head, bytes.data(), sizeof(head));
  model::ModelConfig c = TinyConfig();
  c.hidden = head[0];
  c.ff = head[1];
  c.layers = head[2];
  c.heads = head[3];
  c.kv_heads = head[4];
  c.vocab = head[5];
  c.context = head[6];
  c.head_dim = c.hidden / c.heads;
  c.tied_embeddings = true;
  const int64_t kv = c.kv_heads * c.head_dim;
  std::vector<Tensor> tensors;
  size_t at = sizeof(head);
  const auto take = [&](const std::string& name, const std::vector<int64_t>& shape) {
    Tensor tensor{name, shape, std::vector<float>(static_cast<size_t>(Count(shape)))};
    ASSERT_LE(at + tensor.values.size() * sizeof(float), bytes.size());
    std::memcpy(tensor.values.data(), bytes.data() + at, tensor.values.size() * sizeof(float));
    at += tensor.values.size() * sizeof(float);
    if (name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos) {
      tensor.values = RowsToHalves(tensor.values, shape[0], shape[1], c.head_dim);
    }
    tensors.push_back(std::move(tensor));
  };
  const auto each_layer = [&](const std::string& name, const std::vector<int64_t>& shape) {
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      take("model.layers." + std::to_string(layer) + "." + name, shape);
    }
  };
  take("model.embed_tokens.weight", {c.vocab, c.hidden});
  each_layer("input_layernorm.weight", {c.hidden});
  each_layer("self_attn.q_proj.weight", {c.hidden, c.hidden});
  each_layer("self_attn.k_proj.weight", {kv, c.hidden});
  each_layer("self_attn.v_proj.weight", {kv, c.hidden});
  each_layer("self_attn.o_proj.weight", {c.hidden, c.hidden});
  each_layer("post_attention_layernorm.weight", {c.hidden});
  each_layer("mlp.gate_proj.weight", {c.ff, c.hidden});
  each_layer("mlp.down_proj.weight", {c.hidden, c.ff});
  each_layer("mlp.up_proj.weight", {c.ff, c.hidden});
  take("model.norm.weight", {c.hidden});
  WriteHuggingFace(folder, HuggingFaceJson(c), tensors);
}

std::string StoriesModel() {
  const std::string checkpoint = SharedData("stories260k/stories260K.bin");
  if (!Exists(checkpoint)) return "";
  const std::string folder = ScratchFolder() + "/stories260k";
  std::filesystem::create_directory(folder);
  WriteLlama2cAsHuggingFace(checkpoint, folder);
  std::filesystem::copy(SharedData("stories260k/tok512.model"), folder + "/tokenizer.model");
  return folder;
}

}  // namespace uaqf::test
