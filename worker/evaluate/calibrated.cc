#include "worker/evaluate/calibrated.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "worker/engine/cuda/loader.h"
#include "worker/engine/engine.h"
#include "worker/model/digest.h"
#include "worker/quantize/artifact_cache.h"
#include "worker/quantize/prose.h"
#include "worker/quantize/variants.h"

namespace uaqf::evaluate {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string FolderOf(const ArtifactOptions& options) {
  if (!options.folder.empty()) return options.folder;
  if (const std::string folder = Environment("UAQF_ARTIFACTS"); !folder.empty()) return folder;
  if (const std::string cache = Environment("UAQF_CACHE"); !cache.empty()) return cache + "/artifacts";
  if (const std::string cache = Environment("XDG_CACHE_HOME"); !cache.empty()) return cache + "/uaqf/artifacts";
  return Environment("HOME") + "/.cache/uaqf/artifacts";
}

struct Prepared {
  quantize::CalibrationSet set;
  quantize::ArtifactIdentity identity;
};

absl::StatusOr<Prepared> Prepare(const OpenModel& model, const quantize::Variant& variant,
                                 const CalibrationRequest& request) {
  if (absl::Status quality = CheckHasQuality(model); !quality.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(model.config().name, " has random weights, on which ", variant.name,
                     " cannot be calibrated; use a real model, or measure only what it takes"));
  }
  const std::string& device = request.options.device;
  if (absl::Status can = engine::Engine::CheckVariant(variant, device); !can.ok()) return can;
  if (absl::Status ready = ReadyDevice(device); !ready.ok()) return ready;
  auto set = SamplesOfText(model, variant, request.text);
  if (!set.ok()) return set.status();
  Prepared prepared;
  prepared.set = *std::move(set);
  auto digest = model.checkpoint().Digest();
  if (!digest.ok()) return digest.status();
  const quantize::CalibrationSpec spec = SpecOf(model, variant);
  const std::string_view text = request.text.empty() ? quantize::CalibrationProse() : std::string_view(request.text);
  const quantize::CalibrationFacts facts = {static_cast<int32_t>(prepared.set.samples.size()),
                                            spec.length,
                                            spec.seed,
                                            model::Sha256(text),
                                            prepared.set.digest,
                                            device == "cpu" ? "cpu" : "cuda"};
  prepared.identity = {model.config().name, *std::move(digest), variant.name, quantize::ConfigText(variant, facts),
                       model.config().layers};
  return prepared;
}

absl::StatusOr<CalibratedVariant> Complete(std::unique_ptr<quantize::Artifact> artifact, const OpenModel& model,
                                           const quantize::Variant& variant, const Prepared& prepared,
                                           const CalibrationRequest& request) {
  if (!artifact->Complete()) {
    auto made = quantize::Calibrate(model.checkpoint(), variant, prepared.set, request.options, *artifact);
    if (!made.ok()) return made.status();
    if (absl::Status finished = artifact->Finish(); !finished.ok()) return finished;
  }
  return CalibratedVariant{std::move(artifact), nullptr, prepared.identity.config};
}

}  // namespace

absl::Status ReadyDevice(const std::string& device) {
  return device == "cpu" ? absl::OkStatus() : engine::LoadCudaModule().status();
}

quantize::CalibrationSpec SpecOf(const OpenModel& model, const quantize::Variant& variant) {
  quantize::CalibrationSpec spec = variant.calibration;
  if (spec.length == 0) {
    spec.length = static_cast<int32_t>(std::min<int64_t>(quantize::SampleTokens(variant), model.config().context));
  }
  return spec;
}

absl::StatusOr<quantize::CalibrationSet> SamplesOfText(const OpenModel& model, const quantize::Variant& variant,
                                                       const std::string& text) {
  auto ids = model.EncodeText(text.empty() ? quantize::CalibrationProse() : std::string_view(text));
  if (!ids.ok()) return ids.status();
  return quantize::ChooseSamples(*ids, SpecOf(model, variant));
}

absl::StatusOr<CalibratedVariant> PrepareCalibrated(const OpenModel& model, const quantize::Variant& variant,
                                                    const CalibrationRequest& request,
                                                    const ArtifactOptions& artifacts) {
  if (model.checkpoint().synthetic()) {
    if (absl::Status can = engine::Engine::CheckVariant(variant, request.options.device); !can.ok()) return can;
    quantize::CalibrationFacts facts;
    facts.tokens = "none: random codes";
    return CalibratedVariant{nullptr, std::make_unique<quantize::SyntheticBlocks>(model.config(), variant),
                             quantize::ConfigText(variant, facts)};
  }
  auto prepared = Prepare(model, variant, request);
  if (!prepared.ok()) return prepared.status();
  quantize::ArtifactCache cache(FolderOf(artifacts), artifacts.max_bytes);
  auto artifact = cache.Open(prepared->identity);
  if (!artifact.ok()) return artifact.status();
  auto calibrated = Complete(*std::move(artifact), model, variant, *prepared, request);
  if (!calibrated.ok()) return calibrated.status();
  if (absl::Status evicted = cache.Evict(prepared->identity); !evicted.ok()) return evicted;
  return calibrated;
}

absl::StatusOr<CalibratedVariant> CalibrateInto(const std::string& folder, const OpenModel& model,
                                                const quantize::Variant& variant, const CalibrationRequest& request) {
  auto prepared = Prepare(model, variant, request);
  if (!prepared.ok()) return prepared.status();
  auto artifact = quantize::Artifact::Open(folder, prepared->identity);
  if (!artifact.ok()) return artifact.status();
  return Complete(*std::move(artifact), model, variant, *prepared, request);
}

}  // namespace uaqf::evaluate
