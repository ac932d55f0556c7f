#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "worker/model/checkpoint_formats.h"
#include "worker/model/digest.h"
#include "worker/model/gguf.h"
#include "worker/model/gguf_blocks.h"

namespace uaqf::model {
namespace {

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight"; "" for a name the family does not have.
std::string GgufName(const std::string& name) {
  if (name == "model.embed_tokens.weight") return "token_embd.weight";
  if (name == "model.norm.weight") return "output_norm.weight";
  if (name == "lm_head.weight") return "output.weight";
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return "";
  const size_t dot = name.find('.', kLayers.size());
  const size_t suffix = name.rfind('.');
  if (dot == std::string::npos || suffix <= dot) return "";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kParts = {{
      {"input_layernorm", "attn_norm"},
      {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
  }};
  const std::string part = name.substr(dot + 1, suffix - dot - 1);
  for (const auto& [ours, theirs] : kParts) {
    if (part != ours) continue;
    const std::string layer = name.substr(kLayers.size(), dot - kLayers.size());
    return absl::StrCat("blk.", layer, ".", std::string(theirs), name.substr(suffix));
  }
  return "";
}

class GgufCheckpoint : public Checkpoint {
 public:
  GgufCheckpoint(MappedFile mapped, GgufFile file, ModelConfig config, std::string path)
      : mapped_(std::move(mapped)), file_(std::move(file)), config_(std::move(config)), path_(std::move(path)) {}

  const ModelConfig& config() const override { return config_; }
  const std::string& path() const override { return path_; }
  const GgufMetadata* gguf() const override { return &file_.metadata; }

  absl::StatusOr<std::string> ReadCompanion(const std::string& name) const override {
    return absl::NotFoundError(absl::StrCat(path_, " is a single file, it has no ", name));
  }

  absl::StatusOr<TensorInfo> Find(const std::string& name) const override {
    const GgufTensor* tensor = Lookup(name);
    if (tensor == nullptr) return absl::NotFoundError(absl::StrCat("no tensor ", GgufName(name), " (", name, ")"));
    return TensorInfo{tensor->type, tensor->rows, tensor->columns};
  }

  absl::Status ReadRows(const std::string& name, int64_t first_row, int64_t rows, std::span<float> out) const override {
    const GgufTensor* tensor = Lookup(name);
    if (tensor == nullptr) return absl::NotFoundError(absl::StrCat("no tensor ", GgufName(name), " (", name, ")"));
    const TensorInfo info{tensor->type, tensor->rows, tensor->columns};
    if (absl::Status status = CheckRows(name, info, first_row, rows, out.size()); !status.ok()) return status;
    const auto columns = static_cast<size_t>(tensor->columns);
    for (int64_t i = 0; i < rows; ++i) {
      ToFloat(tensor->type, RowBytes(name, *tensor, first_row + i),
              out.subspan(static_cast<size_t>(i) * columns, columns));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<StoredMatrix> ReadStored(const std::string& name, RowRange range) const override {
    const GgufTensor* tensor = Lookup(name);
    if (tensor == nullptr || !IsQuantized(tensor->type)) return Checkpoint::ReadStored(name, range);
    const TensorInfo info{tensor->type, tensor->rows, tensor->columns};
    const auto values = static_cast<size_t>(range.count) * static_cast<size_t>(tensor->columns);
    if (absl::Status status = CheckRows(name, info, range.first, range.count, values); !status.ok()) return status;
    StoredMatrix matrix = EmptyBlocks(tensor->type, range.count, tensor->columns);
    for (int64_t i = 0; i < range.count; ++i) {
      UnpackRow(tensor->type, RowBytes(name, *tensor, range.first + i), i, matrix);
    }
    return matrix;
  }

  absl::StatusOr<std::string> Digest() const override {
    return DigestOfFiles({{std::filesystem::path(path_).filename().string(), &mapped_}});
  }

 private:
  // Of a row in Hugging Face's order.
  std::span<const uint8_t> RowBytes(const std::string& name, const GgufTensor& tensor, int64_t row) const {
    const uint64_t row_bytes = tensor.bytes / static_cast<uint64_t>(tensor.rows);
    const int64_t stored = IsPermuted(name) ? InterleavedRow(row, config_.head_dim / 2) : row;
    return mapped_.bytes().subspan(tensor.begin + static_cast<uint64_t>(stored) * row_bytes, row_bytes);
  }

  const GgufTensor* Lookup(const std::string& name) const {
    auto found = file_.tensors.find(GgufName(name));
    if (found == file_.tensors.end() && name == "lm_head.weight" && config_.tied_embeddings) {
      found = file_.tensors.find("token_embd.weight");
    }
    return found == file_.tensors.end() ? nullptr : &found->second;
  }

  // Files of the llama architecture store the rows of q and k for RoPE over neighbours: within a head, the pair (i, i +
  // half) lies at (2i, 2i + 1). Other architectures store them as Hugging Face does.
  bool IsPermuted(const std::string& name) const {
    return config_.architecture == "llama" && name.ends_with("_proj.weight") &&
           (name.find("self_attn.q_proj") != std::string::npos || name.find("self_attn.k_proj") != std::string::npos);
  }

  static int64_t InterleavedRow(int64_t row, int64_t half) {
    const int64_t within = row % (2 * half);
    return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
  }

  const MappedFile mapped_;
  const GgufFile file_;
  const ModelConfig config_;
  const std::string path_;
};

// Llama 3's frequency scaling comes as a tensor of divisors.
absl::Status ReadFrequencyFactors(const MappedFile& mapped, const GgufFile& file, ModelConfig& config) {
  const auto found = file.tensors.find("rope_freqs.weight");
  if (found == file.tensors.end()) return absl::OkStatus();
  const GgufTensor& tensor = found->second;
  if (tensor.type != TensorType::kF32 || tensor.rows != 1 || tensor.columns != config.head_dim / 2) {
    return absl::InvalidArgumentError(absl::StrCat("rope_freqs.weight is ", tensor.rows, " x ", tensor.columns,
                                                   ", expected ", config.head_dim / 2, " values of F32"));
  }
  config.rope.scaling = RopeScaling::kFactors;
  config.rope.frequency_factors.resize(static_cast<size_t>(tensor.columns));
  ToFloat(tensor.type, mapped.bytes().subspan(tensor.begin, tensor.bytes), config.rope.frequency_factors);
  for (const float factor : config.rope.frequency_factors) {
    if (!(factor > 0.0F && factor < 1e6F)) return absl::InvalidArgumentError("rope_freqs.weight has a bad divisor");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenGguf(const Folder& folder, const std::string& file,
                                                     const std::string& path) {
  const auto annotate = [&](const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  };
  absl::StatusOr<MappedFile> mapped = folder.Map(file);
  if (!mapped.ok()) return mapped.status();
  absl::StatusOr<GgufFile> parsed = ParseGguf(mapped->bytes());
  if (!parsed.ok()) return annotate(parsed.status());
  absl::StatusOr<ModelConfig> config = ParseGgufConfig(*parsed);
  if (!config.ok()) return annotate(config.status());
  if (absl::Status status = ReadFrequencyFactors(*mapped, *parsed, *config); !status.ok()) return annotate(status);
  config->name = std::filesystem::path(file).stem().string();
  auto checkpoint = std::make_unique<GgufCheckpoint>(*std::move(mapped), *std::move(parsed), *std::move(config), path);
  if (absl::Status status = CheckTensors(*checkpoint); !status.ok()) return status;
  return checkpoint;
}

}  // namespace uaqf::model
