#include "worker/model/synthetic.h"

#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/model/checkpoint_formats.h"
#include "worker/model/digest.h"

namespace uaqf::model {
namespace {

// Raised when the same seed begins to give other weights.
constexpr int kVersion = 1;
constexpr int64_t kContext = 4096;

constexpr std::array<std::string_view, 5> kIds = {"synthetic:tiny", "synthetic:llama-2-7b", "synthetic:mistral-7b",
                                                  "synthetic:llama-3-8b", "synthetic:llama-2-13b"};

struct Shape {
  int64_t hidden, layers, heads, kv_heads, ff, vocab;
  double theta;
  int64_t window;
};

const std::map<std::string_view, Shape>& Shapes() {
  static const std::map<std::string_view, Shape> shapes = {
      {"synthetic:tiny", {256, 2, 4, 2, 512, 512, 1e4, 0}},
      {"synthetic:llama-2-7b", {4096, 32, 32, 32, 11008, 32000, 1e4, 0}},
      {"synthetic:mistral-7b", {4096, 32, 32, 8, 14336, 32000, 1e4, 4096}},
      {"synthetic:llama-3-8b", {4096, 32, 32, 8, 14336, 128256, 5e5, 0}},
      {"synthetic:llama-2-13b", {5120, 40, 40, 40, 13824, 32000, 1e4, 0}},
  };
  return shapes;
}

ModelConfig ConfigOf(const std::string& id, const Shape& shape) {
  ModelConfig config;
  config.architecture = shape.window > 0 ? "mistral" : "llama";
  config.name = id;
  config.hidden = shape.hidden;
  config.layers = shape.layers;
  config.heads = shape.heads;
  config.kv_heads = shape.kv_heads;
  config.head_dim = shape.hidden / shape.heads;
  config.ff = shape.ff;
  config.vocab = shape.vocab;
  config.context = kContext;
  config.rope.theta = shape.theta;
  config.sliding_window = shape.window;
  config.bos_id = 1;
  config.eos_ids = {2};
  return config;
}

// FNV-1a: the same everywhere, unlike std::hash.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

class SyntheticCheckpoint final : public Checkpoint {
 public:
  SyntheticCheckpoint(ModelConfig config, uint64_t seed) : config_(std::move(config)), seed_(seed) {
    for (const ExpectedTensor& tensor : ExpectedTensors(config_)) {
      shapes_[tensor.name] = {TensorType::kF32, tensor.rows, tensor.columns};
    }
  }

  const ModelConfig& config() const override { return config_; }
  const std::string& path() const override { return config_.name; }

  absl::StatusOr<TensorInfo> Find(const std::string& name) const override {
    const auto found = shapes_.find(name);
    if (found != shapes_.end()) return found->second;
    return absl::NotFoundError(absl::StrCat(config_.name, " has no tensor ", name));
  }

  absl::Status ReadRows(const std::string& name, int64_t first_row, int64_t rows, std::span<float> out) const override {
    auto info = Find(name);
    if (!info.ok()) return info.status();
    if (absl::Status fits = CheckRows(name, *info, first_row, rows, out.size()); !fits.ok()) return fits;
    const RandomTensor tensor = *Random(name);
    const auto first = static_cast<uint64_t>(first_row * info->columns);
    for (size_t i = 0; i < out.size(); ++i) out[i] = ValueAt(tensor, first + i);
    return absl::OkStatus();
  }

  const GgufMetadata* gguf() const override { return nullptr; }

  absl::StatusOr<std::string> ReadCompanion(const std::string& name) const override {
    return absl::NotFoundError(absl::StrCat(config_.name, " has no file ", name));
  }

  absl::StatusOr<std::string> Digest() const override {
    return Sha256(absl::StrCat("synthetic ", kVersion, " ", config_.name, " seed ", seed_, " shape ", config_.hidden,
                               " ", config_.layers, " ", config_.heads, " ", config_.kv_heads, " ", config_.head_dim,
                               " ", config_.ff, " ", config_.vocab));
  }

  std::optional<RandomTensor> Random(const std::string& name) const override {
    const auto found = shapes_.find(name);
    if (found == shapes_.end()) return std::nullopt;
    RandomTensor tensor;
    tensor.seed = seed_ ^ HashOf(name);
    if (absl::StrContains(name, "norm.weight")) {
      tensor.constant = 1;
      return tensor;
    }
    if (absl::EndsWith(name, ".bias")) return tensor;
    // The standard deviation of a uniform variable is its bound over sqrt(3). The residual stream takes 2 products a
    // layer; theirs are smaller, so that it ends at about twice the size it began with.
    double deviation = 1 / std::sqrt(static_cast<double>(found->second.columns));
    if (name == "model.embed_tokens.weight") deviation = 1;
    if (absl::StrContains(name, "o_proj") || absl::StrContains(name, "down_proj")) {
      deviation /= std::sqrt(2.0 * static_cast<double>(config_.layers));
    }
    tensor.step = static_cast<float>(deviation * std::sqrt(3.0) / (1 << 23));
    return tensor;
  }

 private:
  const ModelConfig config_;
  const uint64_t seed_;
  std::map<std::string, TensorInfo> shapes_;
};

}  // namespace

bool IsSyntheticId(std::string_view id) { return id.substr(0, kSyntheticPrefix.size()) == kSyntheticPrefix; }

std::span<const std::string_view> SyntheticIds() { return kIds; }

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSynthetic(const std::string& id) {
  const auto shape = Shapes().find(id);
  if (shape != Shapes().end()) return MakeSynthetic(ConfigOf(id, shape->second), 0);
  return absl::NotFoundError(
      absl::StrCat("model \"", absl::CHexEscape(id.substr(0, 80)), "\": expected one of ",
                   absl::StrJoin(kIds, ", ", [](std::string* out, std::string_view known) { out->append(known); })));
}

std::unique_ptr<Checkpoint> MakeSynthetic(ModelConfig config, uint64_t seed) {
  return std::make_unique<SyntheticCheckpoint>(std::move(config), seed);
}

}  // namespace uaqf::model
