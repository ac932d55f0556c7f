// The variant "checkpoint:NAME": a release that is quantized already, run in its own form. NAME is a model of the
// catalog; its weights, norms and embeddings are all the release's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker/model/checkpoint.h"
#include "worker/quantize/variants.h"

namespace uaqf::quantize {

// NAME of "checkpoint:NAME"; nothing for the name of another variant.
std::optional<std::string> CheckpointNamed(std::string_view variant);

// The variant of a release: its activations are what it was made for.
Variant VariantOfRelease(const model::ModelConfig& release);

// INVALID_ARGUMENT when the release has no layer in a quantized form, or is another model than `model`: another shape,
// vocabulary or RoPE. The message names what differs.
absl::Status FitsRelease(const model::ModelConfig& release, const model::ModelConfig& model);

// Bytes of the packed weights of a release in its own form, from the blocks' tables; embedding and LM head in FP16.
int64_t PackedBytesOfRelease(const model::Checkpoint& release);

}  // namespace uaqf::quantize
