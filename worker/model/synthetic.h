// Models that are on no disk: seeded random weights of a known shape, for measurements of speed and memory. What they
// say is noise, so their quality is not measured.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/model/checkpoint.h"

namespace uaqf::model {

// "synthetic:", which begins their ids.
inline constexpr std::string_view kSyntheticPrefix = "synthetic:";

bool IsSyntheticId(std::string_view id);
// "synthetic:llama-2-7b" and so on, the smallest first.
std::span<const std::string_view> SyntheticIds();

// The model of this id, seed 0. NOT_FOUND: no such shape; the message lists them.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSynthetic(const std::string& id);
// A model of any shape. Weights are scaled so that activations keep about unit size through all layers.
std::unique_ptr<Checkpoint> MakeSynthetic(ModelConfig config, uint64_t seed);

}  // namespace uaqf::model
