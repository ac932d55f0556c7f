#include "worker/quantize/variants.h"

#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/digest.h"

namespace uaqf::quantize {
namespace {

// Raised when the same configuration begins to give other weights.
constexpr int kQuantizerVersion = 1;

constexpr std::array<Variant, 10> kVariants = {{
    {"fp16", "FP16 weights and activations: the baseline", Method::kNone, 16, Granularity::kNone, 0, 16},
    {"rtn-w8", "INT8 weights, one scale a matrix", Method::kRtn, 8, Granularity::kTensor, 0, 16},
    {"rtn-w4", "INT4 weights, one scale a matrix", Method::kRtn, 4, Granularity::kTensor, 0, 16},
    {"rtn-w8-channel", "INT8 weights, one scale an output row", Method::kRtn, 8, Granularity::kChannel, 0, 16},
    {"rtn-w4-channel", "INT4 weights, one scale an output row", Method::kRtn, 4, Granularity::kChannel, 0, 16},
    {"rtn-w4-g128", "INT4 weights, an FP16 scale for 128 inputs of a row", Method::kRtn, 4, Granularity::kGroup, 128,
     16},
    {"rtn-w4-g64", "INT4 weights, an FP16 scale for 64 inputs of a row", Method::kRtn, 4, Granularity::kGroup, 64, 16},
    {"rtn-w4-g32", "INT4 weights, an FP16 scale for 32 inputs of a row", Method::kRtn, 4, Granularity::kGroup, 32, 16},
    {"rtn-w8a8", "INT8 weights, one scale a matrix; INT8 activations, one scale a token", Method::kRtn, 8,
     Granularity::kTensor, 0, 8},
    {"rtn-w4a8", "INT4 weights, one scale a matrix; INT8 activations, one scale a token", Method::kRtn, 4,
     Granularity::kTensor, 0, 8},
}};

std::string_view MethodName(Method method) {
  return method == Method::kNone ? "none" : method == Method::kRtn ? "rtn" : "checkpoint";
}

std::string_view GranularityName(Granularity granularity) {
  switch (granularity) {
    case Granularity::kNone:
      return "none";
    case Granularity::kTensor:
      return "tensor";
    case Granularity::kChannel:
      return "channel";
    case Granularity::kGroup:
      return "group";
  }
  return "?";
}

}  // namespace

std::span<const Variant> Variants() { return kVariants; }

absl::StatusOr<Variant> FindVariant(std::string_view name) {
  std::string known;
  for (const Variant& variant : kVariants) {
    if (variant.name == name) return variant;
    absl::StrAppend(&known, known.empty() ? "" : ", ", std::string(variant.name));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown variant \"", absl::CHexEscape(std::string(name.substr(0, 80))), "\"; this build knows ",
                   known, ", and checkpoint:NAME for a quantized release"));
}

absl::Status FitsModel(const Variant& variant, const model::ModelConfig& config) {
  if (variant.granularity != Granularity::kGroup) return absl::OkStatus();
  const std::pair<const char*, int64_t> inputs[] = {
      {"q_proj", config.hidden}, {"o_proj", config.heads * config.head_dim}, {"down_proj", config.ff}};
  for (const auto& [layer, size] : inputs) {
    if (size % variant.group_size == 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(variant.name), " does not fit ", config.name.empty() ? "the model" : config.name,
                     ": group size ", variant.group_size, " does not divide input dimension ", size, " (layer 0 ",
                     layer, "); use a group size that does, or a -channel variant"));
  }
  return absl::OkStatus();
}

int64_t PackedBytes(const Variant& variant, const model::ModelConfig& c) {
  const int64_t query = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  const int64_t weights = c.layers * (c.hidden * (2 * query + 2 * kv) + 3 * c.hidden * c.ff);
  const int64_t groups = variant.group_size > 0 ? weights / variant.group_size : 0;
  return weights * variant.weight_bits / 8 + groups * 2 + c.vocab * c.hidden * 2 * (c.tied_embeddings ? 1 : 2);
}

std::string ConfigDigest(const Variant& variant) {
  // nlohmann sorts keys, so equal configurations have one text.
  const nlohmann::json config = {
      {"activation_bits", variant.activation_bits}, {"granularity", GranularityName(variant.granularity)},
      {"group_size", variant.group_size},           {"method", MethodName(variant.method)},
      {"quantizer_version", kQuantizerVersion},     {"weight_bits", variant.weight_bits}};
  return model::Sha256(config.dump());
}

}  // namespace uaqf::quantize
