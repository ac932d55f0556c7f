#include "worker/quantize/checkpoint_variant.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "worker/model/checkpoint_formats.h"

namespace uaqf::quantize {
namespace {

constexpr std::string_view kPrefix = "checkpoint:";

int64_t BytesOf(const model::StoredMatrix& m) {
  const bool zeros = std::any_of(m.group_zeros.begin(), m.group_zeros.end(), [](int8_t zero) { return zero != 0; });
  const size_t bytes = m.codes.size() * static_cast<size_t>(m.bits) / 8 + m.scales.size() * 4 +
                       (m.group_scales.size() + m.group_offsets.size()) * 2 + m.scale_factors.size() +
                       m.offset_factors.size() + (zeros ? m.group_zeros.size() : 0);
  return static_cast<int64_t>(bytes);
}

}  // namespace

std::optional<std::string> CheckpointNamed(std::string_view variant) {
  if (!variant.starts_with(kPrefix)) return std::nullopt;
  return std::string(variant.substr(kPrefix.size()));
}

Variant VariantOfRelease(const model::ModelConfig& release) {
  return {"checkpoint",           "A quantized release in its own form", Method::kCheckpoint, 0, Granularity::kNone, 0,
          release.activation_bits};
}

absl::Status FitsRelease(const model::ModelConfig& release, const model::ModelConfig& model) {
  if (release.release_format.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(release.name,
                                                   " is not quantized, expected a GPTQ, AWQ, compressed-tensors or "
                                                   "quantized GGUF release; host it as a model instead"));
  }
  const std::tuple<const char*, int64_t, int64_t> facts[] = {
      {"hidden size", release.hidden, model.hidden},   {"layers", release.layers, model.layers},
      {"heads", release.heads, model.heads},           {"KV heads", release.kv_heads, model.kv_heads},
      {"head size", release.head_dim, model.head_dim}, {"feed-forward size", release.ff, model.ff},
      {"vocabulary", release.vocab, model.vocab}};
  for (const auto& [what, got, expected] : facts) {
    if (got == expected) continue;
    return absl::InvalidArgumentError(absl::StrCat(release.name, " is no release of ", model.name, ": its ", what,
                                                   " is ", got, ", expected ", expected));
  }
  if (std::fabs(release.rope.theta - model.rope.theta) > 1e-3 * model.rope.theta) {
    return absl::InvalidArgumentError(absl::StrCat(release.name, " is no release of ", model.name,
                                                   ": its RoPE base is ", release.rope.theta, ", expected ",
                                                   model.rope.theta));
  }
  return absl::OkStatus();
}

int64_t PackedBytesOfRelease(const model::Checkpoint& release) {
  int64_t bytes = 0;
  for (const model::ExpectedTensor& tensor : model::ExpectedTensors(release.config())) {
    if (tensor.rows == 1) continue;
    const bool in_block = tensor.name.find(".layers.") != std::string::npos;
    const absl::StatusOr<model::StoredMatrix> row =
        in_block ? release.ReadStored(tensor.name, {0, 1}) : absl::NotFoundError("FP16 in every variant");
    if (row.ok()) {
      bytes += BytesOf(*row) * tensor.rows + static_cast<int64_t>(row->order.size()) * 4;
    } else if (!(release.config().tied_embeddings && tensor.name == "lm_head.weight")) {
      bytes += tensor.rows * tensor.columns * 2;
    }
  }
  return bytes;
}

}  // namespace uaqf::quantize
