#include "worker/quantize/artifact.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/model/bounded_json.h"
#include "worker/model/digest.h"
#include "worker/quantize/atomic_file.h"
#include "worker/quantize/block_file.h"

namespace uaqf::quantize {
namespace {

namespace fs = std::filesystem;

std::string FileNameOf(int64_t index) { return absl::StrFormat("block-%05d.safetensors", index); }

// The key of the finished artifact in `folder`; empty where there is none that can be read.
std::string FinishedKey(const std::string& folder) {
  std::ifstream file(fs::path(folder) / kManifestName);
  std::stringstream text;
  text << file.rdbuf();
  const auto manifest = model::ParseJson(text.str(), kManifestName, {.max_bytes = 1 << 20, .max_depth = 8});
  if (!manifest.ok() || !manifest->is_object()) return "";
  const auto key = manifest->find("key");
  return key != manifest->end() && key->is_string() ? key->get<std::string>() : "";
}

}  // namespace

std::string ArtifactIdentity::Key() const { return model::Sha256(absl::StrCat(model_digest, "\n", config)); }

Artifact::Artifact(std::string folder, ArtifactIdentity identity)
    : folder_(std::move(folder)), identity_(std::move(identity)), key_(identity_.Key()) {}

absl::StatusOr<std::unique_ptr<Artifact>> Artifact::Open(const std::string& folder, const ArtifactIdentity& identity) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("artifact folder ", folder, ": ", error.message(), "; name one that can be written"));
  }
  const std::string finished = FinishedKey(folder);
  if (!finished.empty() && finished != identity.Key()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder, " holds a finished artifact of another model or configuration, expected an empty folder or one of ",
        identity.variant, " of ", identity.model, "; name another folder"));
  }
  return std::unique_ptr<Artifact>(new Artifact(folder, identity));
}

std::string Artifact::PathOf(int64_t index) const { return (fs::path(folder_) / FileNameOf(index)).string(); }

absl::StatusOr<model::MappedFile> Artifact::Map(int64_t index) const {
  const auto folder = model::Folder::Open(folder_, model::Folder::Links::kRefuse);
  if (!folder.ok()) return folder.status();
  return folder->Map(FileNameOf(index));
}

absl::StatusOr<QuantizedBlock> Artifact::Get(int64_t index) {
  const auto file = Map(index);
  if (!file.ok()) return file.status();
  absl::StatusOr<QuantizedBlock> block = ReadBlock(file->bytes(), key_, index);
  if (block.ok()) return block;
  return absl::NotFoundError(absl::StrCat(PathOf(index), " is damaged or foreign: ", block.status().message()));
}

absl::Status Artifact::Put(int64_t index, const QuantizedBlock& block) {
  return WriteAtomically(PathOf(index), WriteBlock(block, key_, index));
}

bool Artifact::Complete() const {
  if (FinishedKey(folder_) != key_) return false;
  for (int64_t index = 0; index < identity_.blocks; ++index) {
    const auto file = Map(index);
    if (!file.ok() || !CheckBlock(file->bytes(), key_, index).ok()) return false;
  }
  return true;
}

absl::Status Artifact::Finish() {
  const nlohmann::ordered_json manifest = {
      {"format", "uaqf-artifact-1"},  {"key", key_},
      {"model", identity_.model},     {"model_digest", identity_.model_digest},
      {"variant", identity_.variant}, {"config", nlohmann::json::parse(identity_.config)},
      {"blocks", identity_.blocks}};
  return WriteAtomically((fs::path(folder_) / kManifestName).string(), manifest.dump(2) + "\n");
}

}  // namespace uaqf::quantize
