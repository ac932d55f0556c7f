// ModelConfig from a Hugging Face folder's config.json.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/bounded_json.h"
#include "worker/model/model_config.h"

namespace uaqf::model {
namespace {

using Json = nlohmann::json;

// Reads fields of one object and keeps the first error, so that a caller checks once.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  bool Has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  int64_t Int(const char* key) {
    if (Has(key) && object_[key].is_number_integer()) return object_[key].get<int64_t>();
    return Fail(key, "an integer"), 0;
  }
  int64_t Int(const char* key, int64_t otherwise) { return Has(key) ? Int(key) : otherwise; }

  double Number(const char* key) {
    if (Has(key) && object_[key].is_number()) return object_[key].get<double>();
    return Fail(key, "a number"), 0.0;
  }
  double Number(const char* key, double otherwise) { return Has(key) ? Number(key) : otherwise; }

  bool Bool(const char* key, bool otherwise) {
    if (!Has(key)) return otherwise;
    if (object_[key].is_boolean()) return object_[key].get<bool>();
    return Fail(key, "true or false"), otherwise;
  }

  std::string String(const char* key, const std::string& otherwise) {
    if (!Has(key)) return otherwise;
    if (object_[key].is_string()) return object_[key].get<std::string>();
    return Fail(key, "a string"), otherwise;
  }

  // One token id, several, or none.
  std::vector<int32_t> Ids(const char* key) {
    if (!Has(key)) return {};
    std::vector<int32_t> ids;
    const Json list = object_[key].is_array() ? object_[key] : Json::array({object_[key]});
    for (const Json& id : list) {
      if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX) {
        return Fail(key, "token ids"), ids;
      }
      ids.push_back(id.get<int32_t>());
    }
    return ids;
  }

  const Json& operator[](const char* key) const { return object_[key]; }
  const absl::Status& status() const { return status_; }

 private:
  void Fail(const char* key, const char* expected) {
    if (!status_.ok()) return;
    const std::string got = object_.contains(key) ? object_[key].dump().substr(0, 80) : "nothing";
    status_ = absl::InvalidArgumentError(absl::StrCat("config.json: \"", key, "\" is ", got, ", expected ", expected));
  }

  const Json& object_;
  absl::Status status_;
};

absl::Status ReadRopeScaling(const Json& scaling, int64_t context, Rope& rope) {
  if (!scaling.is_object()) return absl::InvalidArgumentError("config.json: rope scaling is no object");
  Fields fields(scaling);
  const std::string type = fields.String("rope_type", fields.String("type", "default"));
  rope.theta = fields.Number("rope_theta", rope.theta);
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = fields.Number("factor");
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.factor = fields.Number("factor");
    rope.low_frequency_factor = fields.Number("low_freq_factor");
    rope.high_frequency_factor = fields.Number("high_freq_factor");
    rope.original_context = fields.Int("original_max_position_embeddings", context);
  } else if (type != "default") {
    return absl::InvalidArgumentError(
        absl::StrCat("got rope scaling \"", absl::CHexEscape(type), "\", this build knows default, linear and llama3"));
  }
  return fields.status();
}

// Qwen2 files carry a window that is switched off; where it is on, layers below max_window_layers have none.
absl::Status ReadSlidingWindow(Fields& fields, ModelConfig& config) {
  if (config.architecture == "llama") return absl::OkStatus();
  if (config.architecture == "qwen2") {
    if (!fields.Bool("use_sliding_window", false)) return absl::OkStatus();
    const int64_t without = fields.Int("max_window_layers", config.layers);
    if (without >= config.layers) return absl::OkStatus();
    if (without > 0) {
      return absl::InvalidArgumentError(absl::StrCat("config.json: a sliding window in layers from ", without,
                                                     " on only is not supported, expected one in all or in none"));
    }
  }
  config.sliding_window = fields.Int("sliding_window", 0);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadArchitecture(Fields& fields) {
  const std::string type = fields.String("model_type", "");
  if (type == "llama" || type == "mistral" || type == "qwen2") return type;
  std::string got = type;
  if (fields.Has("architectures") && fields["architectures"].is_array() && !fields["architectures"].empty() &&
      fields["architectures"][0].is_string()) {
    got = absl::StrCat(got, " (", fields["architectures"][0].get<std::string>(), ")");
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown architecture \"", absl::CHexEscape(got.substr(0, 80)),
                                                 "\"; this build knows ", std::string(KnownArchitectures())));
}

// What the config may ask for and this engine does not do.
absl::Status CheckSupported(Fields& fields) {
  const std::string activation = fields.String("hidden_act", "silu");
  if (activation != "silu") {
    return absl::InvalidArgumentError(
        absl::StrCat("config.json: got hidden_act \"", absl::CHexEscape(activation), "\", expected silu"));
  }
  return absl::OkStatus();
}

void ReadDimensions(Fields& fields, ModelConfig& config) {
  config.hidden = fields.Int("hidden_size");
  config.layers = fields.Int("num_hidden_layers");
  config.heads = fields.Int("num_attention_heads");
  config.kv_heads = fields.Int("num_key_value_heads", config.heads);
  config.head_dim = fields.Int("head_dim", config.heads > 0 ? config.hidden / config.heads : 0);
  config.ff = fields.Int("intermediate_size");
  config.vocab = fields.Int("vocab_size");
  config.context = fields.Int("max_position_embeddings");
  config.rms_eps = fields.Number("rms_norm_eps", 1e-6);
  config.tied_embeddings = fields.Bool("tie_word_embeddings", false);
  config.qkv_bias = config.architecture == "qwen2" || fields.Bool("attention_bias", false);
  const std::vector<int32_t> bos = fields.Ids("bos_token_id");
  config.bos_id = bos.empty() ? -1 : bos[0];
  config.eos_ids = fields.Ids("eos_token_id");
}

// generation_config.json may add end tokens (<|eot_id|> beside <|end_of_text|>).
absl::Status AddGenerationConfig(std::string_view text, ModelConfig& config) {
  absl::StatusOr<Json> json = ParseJson(text, "generation_config.json");
  if (!json.ok()) return json.status();
  if (!json->is_object()) return absl::InvalidArgumentError("generation_config.json: is no JSON object");
  Fields fields(*json);
  for (const int32_t id : fields.Ids("eos_token_id")) {
    if (std::find(config.eos_ids.begin(), config.eos_ids.end(), id) == config.eos_ids.end()) {
      config.eos_ids.push_back(id);
    }
  }
  return fields.status();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseHuggingFaceConfig(std::string_view text, std::string_view generation_config) {
  absl::StatusOr<Json> json = ParseJson(text, "config.json");
  if (!json.ok()) return json.status();
  if (!json->is_object()) return absl::InvalidArgumentError("config.json: is no JSON object");
  Fields fields(*json);
  ModelConfig config;
  absl::StatusOr<std::string> architecture = ReadArchitecture(fields);
  if (!architecture.ok()) return architecture.status();
  config.architecture = *architecture;
  if (absl::Status status = CheckSupported(fields); !status.ok()) return status;
  ReadDimensions(fields, config);
  config.rope.theta = fields.Number("rope_theta", 10000.0);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!fields.Has(key)) continue;
    if (absl::Status status = ReadRopeScaling(fields[key], config.context, config.rope); !status.ok()) return status;
  }
  if (absl::Status status = ReadSlidingWindow(fields, config); !status.ok()) return status;
  if (!fields.status().ok()) return fields.status();
  if (!generation_config.empty()) {
    if (absl::Status status = AddGenerationConfig(generation_config, config); !status.ok()) return status;
  }
  if (absl::Status status = ValidateConfig(config); !status.ok()) return status;
  return config;
}

}  // namespace uaqf::model
