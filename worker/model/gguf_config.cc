// ModelConfig from the metadata and the tensor table of a GGUF file.
#include <algorithm>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/model_config.h"

namespace uaqf::model {
namespace {

// Reads keys under the architecture's prefix and keeps the first error.
class Keys {
 public:
  Keys(const GgufMetadata& metadata, std::string prefix) : metadata_(metadata), prefix_(std::move(prefix)) {}

  bool Has(const char* key) const { return metadata_.Has(prefix_ + key); }
  int64_t Int(const char* key) { return Keep(metadata_.Int(prefix_ + key)); }
  int64_t Int(const char* key, int64_t otherwise) { return Has(key) ? Int(key) : otherwise; }
  double Number(const char* key) { return Keep(metadata_.Float(prefix_ + key)); }
  double Number(const char* key, double otherwise) { return Has(key) ? Number(key) : otherwise; }
  const absl::Status& status() const { return status_; }

 private:
  template <typename T>
  T Keep(absl::StatusOr<T> value) {
    if (value.ok()) return *value;
    if (status_.ok()) status_ = value.status();
    return T{};
  }

  const GgufMetadata& metadata_;
  const std::string prefix_;
  absl::Status status_;
};

// The block format that holds most of the blocks' weights, e.g. Q4_K in a Q4_K_M file; "" when none is quantized.
std::string ReleaseFormat(const GgufFile& file) {
  std::map<TensorType, int64_t> elements;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with("blk.") && tensor.rows > 1) elements[tensor.type] += tensor.rows * tensor.columns;
  }
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == elements.end() || !IsQuantized(most->first)) return "";
  return std::string(TypeName(most->first));
}

absl::Status ReadRope(const GgufMetadata& metadata, const std::string& architecture, Keys& keys, ModelConfig& config) {
  config.rope.theta = keys.Number("rope.freq_base", 10000.0);
  const int64_t turned = keys.Int("rope.dimension_count", config.head_dim);
  if (turned != config.head_dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("got RoPE over ", turned, " of ", config.head_dim, " dimensions of a head, expected all of them"));
  }
  if (keys.Has("rope.scale_linear")) {  // what files before 2023-11 have
    config.rope.scaling = RopeScaling::kLinear;
    config.rope.factor = keys.Number("rope.scale_linear");
  }
  if (!keys.Has("rope.scaling.type")) return absl::OkStatus();
  absl::StatusOr<std::string> type = metadata.String(architecture + ".rope.scaling.type");
  if (!type.ok()) return type.status();
  if (*type == "linear") {
    config.rope.scaling = RopeScaling::kLinear;
    config.rope.factor = keys.Number("rope.scaling.factor");
  } else if (*type != "none") {
    return absl::InvalidArgumentError(absl::StrCat("got rope scaling \"", absl::CHexEscape(type->substr(0, 80)),
                                                   "\", this build knows none, linear and rope_freqs.weight"));
  }
  return absl::OkStatus();
}

absl::Status ReadTokens(const GgufMetadata& metadata, ModelConfig& config) {
  Keys keys(metadata, "tokenizer.ggml.");
  const auto id = [&](const char* key) {
    const int64_t value = keys.Int(key, -1);
    return static_cast<int32_t>(std::clamp<int64_t>(value, -1, INT32_MAX));
  };
  config.bos_id = id("bos_token_id");
  for (const char* key : {"eos_token_id", "eot_token_id"}) {
    const int32_t end = id(key);
    if (end >= 0 && std::find(config.eos_ids.begin(), config.eos_ids.end(), end) == config.eos_ids.end()) {
      config.eos_ids.push_back(end);
    }
  }
  return keys.status();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseGgufConfig(const GgufFile& file) {
  absl::StatusOr<std::string> architecture = file.metadata.String("general.architecture");
  if (!architecture.ok()) return architecture.status();
  // GGUF files of Mistral call themselves llama.
  if (*architecture != "llama" && *architecture != "qwen2") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown architecture \"", absl::CHexEscape(architecture->substr(0, 80)), "\"; this build knows ",
                     std::string(KnownArchitectures()), " (mistral as llama in GGUF)"));
  }
  const auto embedding = file.tensors.find("token_embd.weight");
  if (embedding == file.tensors.end()) return absl::InvalidArgumentError("the GGUF file has no token_embd.weight");

  ModelConfig config;
  config.architecture = *architecture;
  Keys keys(file.metadata, *architecture + ".");
  config.hidden = keys.Int("embedding_length");
  config.layers = keys.Int("block_count");
  config.heads = keys.Int("attention.head_count");
  config.kv_heads = keys.Int("attention.head_count_kv", config.heads);
  config.head_dim = keys.Int("attention.key_length", config.heads > 0 ? config.hidden / config.heads : 0);
  config.ff = keys.Int("feed_forward_length");
  config.vocab = embedding->second.rows;
  config.context = keys.Int("context_length");
  config.rms_eps = keys.Number("attention.layer_norm_rms_epsilon");
  config.sliding_window = keys.Int("attention.sliding_window", 0);
  config.tied_embeddings = !file.tensors.contains("output.weight");
  config.qkv_bias = file.tensors.contains("blk.0.attn_q.bias");
  config.release_format = ReleaseFormat(file);
  if (keys.Int("expert_count", 0) > 0) {
    return absl::InvalidArgumentError("got a mixture of experts, expected a dense model");
  }
  if (absl::Status status = ReadRope(file.metadata, *architecture, keys, config); !status.ok()) return status;
  if (!keys.status().ok()) return keys.status();
  if (absl::Status status = ReadTokens(file.metadata, config); !status.ok()) return status;
  if (absl::Status status = ValidateConfig(config); !status.ok()) return status;
  return config;
}

}  // namespace uaqf::model
