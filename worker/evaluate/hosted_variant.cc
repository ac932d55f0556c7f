#include "worker/evaluate/hosted_variant.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/model/digest.h"
#include "worker/quantize/checkpoint_variant.h"

namespace uaqf::evaluate {
namespace {

// The model itself is borrowed.
absl::StatusOr<std::shared_ptr<const model::Checkpoint>> OpenRelease(const OpenModel& model, const std::string& id,
                                                                     const std::string& folder) {
  if (id == model.config().name) return {{std::shared_ptr<void>(), &model.checkpoint()}};
  auto models = FindModels(folder);
  if (!models.ok()) return models.status();
  const auto found = models->find(id);
  if (found == models->end()) {
    return absl::NotFoundError(absl::StrCat(
        "checkpoint \"", absl::CHexEscape(id.substr(0, 80)), "\": expected ", model.config().name, " or an id below ",
        folder, ": ",
        models->empty() ? "none there"
                        : absl::StrJoin(*models, ", ", [](std::string* out, const auto& m) { *out += m.first; })));
  }
  auto opened = model::Checkpoint::Open(found->second);
  if (!opened.ok()) return opened.status();
  return *std::move(opened);
}

VariantFit FitOf(const std::string& id, const model::ModelConfig& release, int64_t bytes, bool own) {
  return {absl::StrCat("checkpoint:", id),
          absl::StrCat(release.release_format, own ? ", the model's own release as it is; fp16 is its weights "
                                                     "dequantized, so that its loss is relative to them"
                                                   : ", a release in its own form"),
          "", bytes, quantize::KvBytesPerToken(quantize::Variants().front(), release)};
}

}  // namespace

absl::StatusOr<HostedVariant> ResolveVariant(const OpenModel& model, const std::string& name,
                                             const std::string& models) {
  HostedVariant hosted;
  const std::optional<std::string> id = quantize::CheckpointNamed(name);
  if (!id) {
    auto variant = quantize::FindVariant(name);
    if (!variant.ok()) return variant.status();
    if (absl::Status fits = quantize::FitsModel(*variant, model.config()); !fits.ok()) return fits;
    return HostedVariant{*variant, nullptr, quantize::ConfigText(*variant)};
  }
  auto release = OpenRelease(model, *id, models);
  if (!release.ok()) return release.status();
  if (absl::Status fits = quantize::FitsRelease((*release)->config(), model.config()); !fits.ok()) return fits;
  auto digest = (*release)->Digest();
  if (!digest.ok()) return digest.status();
  const quantize::Variant variant = quantize::VariantOfRelease((*release)->config());
  return HostedVariant{variant, *std::move(release), quantize::ReleaseConfigText(variant, *digest)};
}

std::vector<VariantFit> CheckpointVariants(const CatalogEntry& model, const std::vector<CatalogEntry>& entries) {
  std::vector<VariantFit> variants;
  for (const CatalogEntry& release : entries) {
    if (!quantize::FitsRelease(release.config, model.config).ok()) continue;
    variants.push_back(FitOf(release.id, release.config, release.release_bytes, release.id == model.id));
  }
  return variants;
}

std::vector<VariantFit> FindCheckpointVariants(const OpenModel& model, const std::string& models) {
  std::vector<VariantFit> variants;
  const std::string& own = model.config().name;
  const auto add = [&](const model::Checkpoint& release) {
    if (!quantize::FitsRelease(release.config(), model.config()).ok()) return;
    const std::string& id = release.config().name;
    variants.push_back(FitOf(id, release.config(), quantize::PackedBytesOfRelease(release), id == own));
  };
  add(model.checkpoint());
  const auto found = FindModels(models);
  if (!found.ok()) return variants;
  for (const auto& [id, path] : *found) {
    if (id == own) continue;
    const auto release = model::Checkpoint::Open(path);
    if (release.ok()) add(**release);
  }
  return variants;
}

}  // namespace uaqf::evaluate
