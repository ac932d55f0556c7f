// The models below a folder: each .gguf file, and each folder with a config.json, is one, under its name without the
// ending. Clients name models by these ids only, never by a path.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/model_config.h"

namespace uaqf::evaluate {

// How one variant fits one model.
struct VariantFit {
  std::string variant;
  std::string description;
  // Why it does not fit; empty when it does.
  std::string reason;
  // Of its packed weights, estimated.
  int64_t weights_bytes = 0;
  // Of its KV cache.
  int64_t kv_bytes_per_token = 0;
  bool calibrated = false;
};

// One model of the catalog, as ModelInfo of the wire.
struct CatalogEntry {
  std::string id;
  std::string path;
  std::string digest;
  std::string architecture;
  int64_t parameters = 0;
  int32_t context_tokens = 0;
  std::string release_format;
  std::vector<VariantFit> variants;
  model::ModelConfig config;
  // Of a quantized release's packed weights in its own form; 0 for another model.
  int64_t release_bytes = 0;
};

// Opens one model and describes it, with the variants of the table (hosted_variant.h knows those of releases); reads
// the whole file for its digest, unless that is known already.
[[nodiscard]] absl::StatusOr<CatalogEntry> DescribeModel(const std::string& id, const std::string& path);

// Ids and paths below `folder`, without opening anything. Names with other characters than [A-Za-z0-9._-] are left
// out. NOT_FOUND: no such folder.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> FindModels(const std::string& folder);

// The synthetic models, each under its id, which is its path as well.
std::map<std::string, std::string> SyntheticModels();

// The path of `model`: itself when it is one (or synthetic), else the model of that id below `folder`. NOT_FOUND:
// neither; the message lists the ids there are.
[[nodiscard]] absl::StatusOr<std::string> ResolveModel(const std::string& model, const std::string& folder);

// Where models are looked for unless told: $UAQF_MODELS, else the folder that deploy/dependencies.sh fills.
std::string DefaultModelsFolder();

}  // namespace uaqf::evaluate
