#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/bounded_json.h"
#include "worker/model/checkpoint_formats.h"
#include "worker/model/digest.h"
#include "worker/model/quantized_layers.h"
#include "worker/model/safetensors.h"

namespace uaqf::model {
namespace {

constexpr int64_t kMaxCompanion = 64 << 20;
constexpr size_t kMaxShards = 1000;

struct StoredTensor {
  const MappedFile* file;
  SafetensorsTensor tensor;
};

struct Weights {
  std::map<std::string, MappedFile> files;  // node-based: the pointers in `tensors` stay good
  std::map<std::string, StoredTensor> tensors;
};

std::optional<TensorType> TypeFromDtype(const std::string& dtype) {
  if (dtype == "F32") return TensorType::kF32;
  if (dtype == "F16") return TensorType::kF16;
  if (dtype == "BF16") return TensorType::kBF16;
  return std::nullopt;
}

absl::StatusOr<std::string> ReadSmall(const Folder& folder, const std::string& name) {
  absl::StatusOr<MappedFile> file = folder.Map(name);
  if (!file.ok()) return file.status();
  if (file->identity().size > kMaxCompanion) {
    return absl::InvalidArgumentError(absl::StrCat(folder.path(), "/", name, ": got ", file->identity().size,
                                                   " bytes, expected at most ", kMaxCompanion));
  }
  return std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
}

absl::Status AddShard(const Folder& folder, const std::string& name, Weights& weights) {
  absl::StatusOr<MappedFile> mapped = folder.Map(name);
  if (!mapped.ok()) return mapped.status();
  const auto annotate = [&](absl::string_view message) {
    return absl::InvalidArgumentError(absl::StrCat(folder.path(), "/", name, ": ", message));
  };
  absl::StatusOr<SafetensorsTable> table = ParseSafetensorsHeader(mapped->bytes());
  if (!table.ok()) return annotate(table.status().message());
  const MappedFile* file = &weights.files.emplace(name, *std::move(mapped)).first->second;
  for (auto& [tensor_name, tensor] : *table) {
    if (!weights.tensors.emplace(tensor_name, StoredTensor{file, std::move(tensor)}).second) {
      return annotate(absl::StrCat("tensor ", absl::CHexEscape(tensor_name), " is in two shards"));
    }
  }
  return absl::OkStatus();
}

absl::Status AddShardsOfIndex(const Folder& folder, const std::string& index_name, Weights& weights) {
  absl::StatusOr<std::string> text = ReadSmall(folder, index_name);
  if (!text.ok()) return text.status();
  absl::StatusOr<nlohmann::json> index = ParseJson(*text, index_name);
  if (!index.ok()) return index.status();
  if (!index->is_object() || !index->contains("weight_map") || !(*index)["weight_map"].is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(index_name, ": has no weight_map"));
  }
  for (const auto& [tensor, file] : (*index)["weight_map"].items()) {
    if (!file.is_string()) return absl::InvalidArgumentError(absl::StrCat(index_name, ": a shard is no file name"));
    const auto name = file.get<std::string>();
    if (!name.ends_with(".safetensors")) {
      return absl::InvalidArgumentError(absl::StrCat(index_name, ": got shard \"", absl::CHexEscape(name.substr(0, 80)),
                                                     "\", expected a .safetensors file"));
    }
    if (!weights.files.contains(name)) {
      if (weights.files.size() == kMaxShards) {
        return absl::InvalidArgumentError(absl::StrCat(index_name, ": more than ", kMaxShards, " shards"));
      }
      if (absl::Status status = AddShard(folder, name, weights); !status.ok()) return status;
    }
    const auto stored = weights.tensors.find(tensor);
    if (stored == weights.tensors.end() || stored->second.file != &weights.files.at(name)) {
      return absl::InvalidArgumentError(absl::StrCat(index_name, ": tensor ", absl::CHexEscape(tensor.substr(0, 80)),
                                                     " is not in ", name, ", where the index says it is"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Weights> OpenWeights(const Folder& folder) {
  Weights weights;
  absl::Status status;
  if (folder.Has("model.safetensors")) {
    status = AddShard(folder, "model.safetensors", weights);
  } else if (folder.Has("model.safetensors.index.json")) {
    status = AddShardsOfIndex(folder, "model.safetensors.index.json", weights);
  } else if (folder.Has("pytorch_model.bin") || folder.Has("pytorch_model.bin.index.json")) {
    status = absl::InvalidArgumentError(absl::StrCat(folder.path(),
                                                     ": got PyTorch pickles, which can run code when they "
                                                     "are read; expected model.safetensors. Convert them"));
  } else {
    status = absl::NotFoundError(
        absl::StrCat(folder.path(), ": has neither model.safetensors nor model.safetensors.index.json"));
  }
  if (!status.ok()) return status;
  return weights;
}

class HuggingFaceCheckpoint : public Checkpoint {
 public:
  HuggingFaceCheckpoint(Folder folder, Weights weights, ModelConfig config, QuantizationConfig quantization,
                        std::string path)
      : folder_(std::move(folder)),
        weights_(std::move(weights)),
        config_(std::move(config)),
        path_(std::move(path)),
        quantized_(std::move(quantization), [this](const std::string& name) { return Raw(name); }) {}

  const ModelConfig& config() const override { return config_; }
  const std::string& path() const override { return path_; }
  const GgufMetadata* gguf() const override { return nullptr; }
  absl::StatusOr<std::string> ReadCompanion(const std::string& name) const override { return ReadSmall(folder_, name); }

  absl::StatusOr<TensorInfo> Find(const std::string& name) const override {
    if (const auto size = quantized_.Find(name)) return TensorInfo{TensorType::kF32, size->rows, size->columns};
    const StoredTensor* stored = Lookup(name);
    if (stored == nullptr) return absl::NotFoundError(absl::StrCat("no tensor ", name));
    const std::optional<TensorType> type = TypeFromDtype(stored->tensor.dtype);
    const std::vector<int64_t>& shape = stored->tensor.shape;
    if (!type || shape.empty() || shape.size() > 2) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " is ", stored->tensor.dtype, " of ",
                                                     shape.size(), " dimensions, expected F32, F16 or BF16 of 1 or 2"));
    }
    return TensorInfo{*type, shape.size() == 2 ? shape[0] : 1, shape.back()};
  }

  absl::Status ReadRows(const std::string& name, int64_t first_row, int64_t rows, std::span<float> out) const override {
    absl::StatusOr<TensorInfo> info = Find(name);
    if (!info.ok()) return info.status();
    if (absl::Status status = CheckRows(name, *info, first_row, rows, out.size()); !status.ok()) return status;
    if (quantized_.Find(name)) {
      if (rows == 0) return absl::OkStatus();
      absl::StatusOr<StoredMatrix> matrix = quantized_.Read(name, {first_row, rows});
      if (!matrix.ok()) return matrix.status();
      Dequantize(*matrix, out);
      return absl::OkStatus();
    }
    const StoredTensor* stored = Lookup(name);
    const uint64_t row_bytes = stored->tensor.bytes / static_cast<uint64_t>(info->rows);
    const uint64_t begin = stored->tensor.begin + static_cast<uint64_t>(first_row) * row_bytes;
    ToFloat(info->type, stored->file->bytes().subspan(begin, static_cast<uint64_t>(rows) * row_bytes), out);
    return absl::OkStatus();
  }

  absl::StatusOr<StoredMatrix> ReadStored(const std::string& name, RowRange range) const override {
    return quantized_.Read(name, range);
  }

  absl::StatusOr<std::string> Digest() const override {
    std::map<std::string, const MappedFile*> files;
    for (const auto& [name, file] : weights_.files) files[name] = &file;
    std::map<std::string, MappedFile> small;
    for (const char* name :
         {"config.json", "quantize_config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
          "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}) {
      if (!folder_.Has(name)) continue;
      absl::StatusOr<MappedFile> file = folder_.Map(name);
      if (!file.ok()) return file.status();
      files[name] = &small.emplace(name, *std::move(file)).first->second;
    }
    return DigestOfFiles(files);
  }

 private:
  // A file with tied embeddings holds the one matrix under either name, or twice; the embedding's is the one that
  // counts.
  const StoredTensor* Lookup(const std::string& name) const {
    constexpr const char* kEmbedding = "model.embed_tokens.weight";
    constexpr const char* kHead = "lm_head.weight";
    const bool tied = config_.tied_embeddings && (name == kEmbedding || name == kHead);
    auto found = weights_.tensors.find(tied ? kEmbedding : name);
    if (found == weights_.tensors.end() && tied) found = weights_.tensors.find(kHead);
    return found == weights_.tensors.end() ? nullptr : &found->second;
  }

  std::optional<RawTensor> Raw(const std::string& name) const {
    const auto found = weights_.tensors.find(name);
    if (found == weights_.tensors.end()) return std::nullopt;
    const SafetensorsTensor& tensor = found->second.tensor;
    return RawTensor{tensor.dtype, tensor.shape, found->second.file->bytes().subspan(tensor.begin, tensor.bytes)};
  }

  const Folder folder_;
  const Weights weights_;
  const ModelConfig config_;
  const std::string path_;
  const QuantizedLayers quantized_;
};

// From config.json or, as older GPTQ releases have it, from a file of its own.
absl::StatusOr<QuantizationConfig> ReadQuantization(const Folder& folder, const std::string& config) {
  absl::StatusOr<nlohmann::json> json = ParseJson(config, "config.json");
  if (!json.ok()) return json.status();
  if (json->is_object() && json->contains("quantization_config") && !(*json)["quantization_config"].is_null()) {
    return ParseQuantizationConfig((*json)["quantization_config"].dump());
  }
  if (!folder.Has("quantize_config.json")) return QuantizationConfig();
  absl::StatusOr<std::string> text = ReadSmall(folder, "quantize_config.json");
  if (!text.ok()) return text.status();
  return ParseQuantizationConfig(*text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenHuggingFace(Folder folder, const std::string& name,
                                                            const std::string& path) {
  absl::StatusOr<std::string> text = ReadSmall(folder, "config.json");
  if (!text.ok()) {
    return absl::Status(text.status().code(),
                        absl::StrCat(text.status().message(), "; expected the folder of a Hugging Face model"));
  }
  std::string generation;
  if (folder.Has("generation_config.json")) {
    absl::StatusOr<std::string> read = ReadSmall(folder, "generation_config.json");
    if (!read.ok()) return read.status();
    generation = *std::move(read);
  }
  absl::StatusOr<ModelConfig> config = ParseHuggingFaceConfig(*text, generation);
  if (!config.ok()) return absl::Status(config.status().code(), absl::StrCat(path, ": ", config.status().message()));
  absl::StatusOr<QuantizationConfig> quantization = ReadQuantization(folder, *text);
  if (!quantization.ok()) {
    return absl::Status(quantization.status().code(), absl::StrCat(path, ": ", quantization.status().message()));
  }
  config->name = name;
  config->release_format = quantization->name;
  config->activation_bits = quantization->activation_bits;
  absl::StatusOr<Weights> weights = OpenWeights(folder);
  if (!weights.ok()) return weights.status();
  auto checkpoint = std::make_unique<HuggingFaceCheckpoint>(std::move(folder), *std::move(weights), *std::move(config),
                                                            *std::move(quantization), path);
  if (absl::Status status = CheckTensors(*checkpoint); !status.ok()) return status;
  return checkpoint;
}

}  // namespace uaqf::model
