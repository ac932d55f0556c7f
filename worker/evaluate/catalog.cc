#include "worker/evaluate/catalog.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/evaluate/open_model.h"
#include "worker/model/synthetic.h"
#include "worker/quantize/checkpoint_variant.h"
#include "worker/quantize/variants.h"

namespace uaqf::evaluate {
namespace {

namespace fs = std::filesystem;

bool IsId(const std::string& name) {
  return !name.empty() && name.size() <= 128 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; });
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::StatusOr<CatalogEntry> DescribeModel(const std::string& id, const std::string& path) {
  auto model = OpenModel::Open(path);
  if (!model.ok()) return model.status();
  const model::ModelConfig& config = (*model)->config();
  CatalogEntry entry{id,
                     path,
                     "",
                     config.architecture,
                     (*model)->parameters(),
                     static_cast<int32_t>(config.context),
                     config.release_format,
                     {},
                     config,
                     config.release_format.empty() ? 0 : quantize::PackedBytesOfRelease((*model)->checkpoint())};
  for (const quantize::Variant& variant : quantize::Variants()) {
    const absl::Status fits = quantize::FitsModel(variant, config);
    entry.variants.push_back({std::string(variant.name), std::string(variant.description), std::string(fits.message()),
                              quantize::PackedBytes(variant, config), quantize::KvBytesPerToken(variant, config),
                              quantize::NeedsCalibration(variant)});
  }
  auto digest = (*model)->checkpoint().Digest();
  if (!digest.ok()) return digest.status();
  entry.digest = *std::move(digest);
  return entry;
}

absl::StatusOr<std::map<std::string, std::string>> FindModels(const std::string& folder) {
  std::error_code error;
  std::map<std::string, std::string> models;
  fs::directory_iterator entries(folder, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("models folder ", folder, ": ", error.message(),
                                            "; name another with --models, or run deploy/dependencies.sh"));
  }
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::directory_entry& entry = *entries;
    const fs::path& path = entry.path();
    // What cannot be looked at, a dangling link for instance, is no model.
    std::error_code unseen;
    const bool gguf = path.extension() == ".gguf" && entry.is_regular_file(unseen);
    const bool hugging_face = entry.is_directory(unseen) && fs::is_regular_file(path / "config.json", unseen);
    const std::string id = gguf ? path.stem().string() : path.filename().string();
    if ((gguf || hugging_face) && IsId(id)) models.emplace(id, path.string());
  }
  return models;
}

std::map<std::string, std::string> SyntheticModels() {
  std::map<std::string, std::string> models;
  for (const std::string_view id : model::SyntheticIds()) models.emplace(id, id);
  return models;
}

absl::StatusOr<std::string> ResolveModel(const std::string& model, const std::string& folder) {
  if (model::IsSyntheticId(model)) return model;
  std::error_code error;
  if (fs::exists(model, error)) return model;
  auto models = FindModels(folder);
  if (!models.ok()) {
    return absl::NotFoundError(
        absl::StrCat("model \"", model, "\": no such file or folder, and no id either: ", models.status().message()));
  }
  const auto found = models->find(model);
  if (found != models->end()) return found->second;
  return absl::NotFoundError(absl::StrCat(
      "model \"", model, "\": expected a .gguf file, a Hugging Face folder, synthetic:NAME, or an id below ", folder,
      ": ", models->empty() ? "none there" : absl::StrJoin(*models, ", ", [](std::string* out, const auto& entry) {
        *out += entry.first;
      })));
}

std::string DefaultModelsFolder() {
  if (const std::string folder = Environment("UAQF_MODELS"); !folder.empty()) return folder;
  if (const std::string deps = Environment("UAQF_DEPS"); !deps.empty()) return deps + "/models";
  if (const std::string cache = Environment("UAQF_CACHE"); !cache.empty()) return cache + "/deps/models";
  if (const std::string cache = Environment("XDG_CACHE_HOME"); !cache.empty()) return cache + "/uaqf/deps/models";
  return Environment("HOME") + "/.cache/uaqf/deps/models";
}

}  // namespace uaqf::evaluate
