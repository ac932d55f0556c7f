// From a variant's name to what an engine is made of.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/open_model.h"
#include "worker/quantize/variants.h"

namespace uaqf::evaluate {

struct HostedVariant {
  quantize::Variant variant;
  // The release that a checkpoint variant runs; null where the weights are made of the model's own.
  std::shared_ptr<const model::Checkpoint> release;
  // quantize::ConfigText, without the calibration where it needs some.
  std::string config;

  // What Engine::Create reads.
  const model::Checkpoint& weights(const OpenModel& model) const { return release ? *release : model.checkpoint(); }
};

// A variant of the table, or "checkpoint:NAME" where NAME is the model itself or a model below `models`, a folder.
// INVALID_ARGUMENT: unknown, or it does not fit the model; NOT_FOUND: no such checkpoint, the message lists those there
// are. `model` must outlive the result.
[[nodiscard]] absl::StatusOr<HostedVariant> ResolveVariant(const OpenModel& model, const std::string& name,
                                                           const std::string& models);

// The releases among `entries` that are of a model's shape, as variants of it: for a catalog.
std::vector<VariantFit> CheckpointVariants(const CatalogEntry& model, const std::vector<CatalogEntry>& entries);

// The same for one model, of itself and what lies below `models`; opens all of it, and leaves out what cannot be read.
std::vector<VariantFit> FindCheckpointVariants(const OpenModel& model, const std::string& models);

}  // namespace uaqf::evaluate
