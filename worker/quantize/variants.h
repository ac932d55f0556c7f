// The table of all variants of this build. A variant is a treatment of the linear layers inside the blocks: embedding
// and LM head are FP16 and norms FP32 in every one. A new method is one file beside rtn.h and its rows here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/model_config.h"

namespace uaqf::quantize {

// kCheckpoint is not in the table: checkpoint_variant.h makes it of a release's name.
enum class Method { kNone, kRtn, kCheckpoint };
// What shares one scale: the whole matrix of a linear layer, a row (output channel), or `group_size` inputs of a row.
enum class Granularity { kNone, kTensor, kChannel, kGroup };

struct Variant {
  std::string_view name;         // "rtn-w4-g64"
  std::string_view description;  // one line for people
  Method method;
  int weight_bits;  // 16, 8 or 4
  Granularity granularity;
  int64_t group_size;   // kGroup only, else 0
  int activation_bits;  // 16, or 8 for INT8 with one dynamic scale a token
};

// All variants, FP16 first. Lives as long as the process.
std::span<const Variant> Variants();

// INVALID_ARGUMENT for an unknown name; the message lists the known ones.
absl::StatusOr<Variant> FindVariant(std::string_view name);

// INVALID_ARGUMENT when the variant cannot be made of this model: a group size that does not divide the input
// dimension of a linear layer; the message names both and the layer.
absl::Status FitsModel(const Variant& variant, const model::ModelConfig& config);

// Bytes of the model's packed weights under the variant, estimated from its dimensions; embedding and LM head in FP16.
int64_t PackedBytes(const Variant& variant, const model::ModelConfig& config);

// SHA-256 (lower-case hex) of the variant's whole configuration and the quantizer's version: equal digests, and equal
// model digests, mean equal weights.
std::string ConfigDigest(const Variant& variant);

}  // namespace uaqf::quantize
