// The quantized weights of one variant of one model on disk: a folder with a safetensors file for each block and, once
// all are there, "artifact.json", which says what they are and makes the artifact complete. An interrupted one goes on
// where it stopped; a damaged block counts as missing and is made again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/model/mapped_file.h"
#include "worker/quantize/block_store.h"

namespace uaqf::quantize {

// What an artifact is made of.
struct ArtifactIdentity {
  std::string model;         // its name, for people
  std::string model_digest;  // Checkpoint::Digest
  std::string variant;       // as asked for, for people
  std::string config;        // ConfigText
  int64_t blocks = 0;

  // SHA-256 of model digest and config: equal keys mean equal weights.
  std::string Key() const;
};

class Artifact final : public BlockStore {
 public:
  // Opens or begins the artifact in `folder`, which is created. FAILED_PRECONDITION: the folder cannot be used, or
  // holds a finished artifact of another key: nothing of it is touched.
  static absl::StatusOr<std::unique_ptr<Artifact>> Open(const std::string& folder, const ArtifactIdentity& identity);

  absl::StatusOr<QuantizedBlock> Get(int64_t index) override;
  absl::Status Put(int64_t index, const QuantizedBlock& block) override;

  // Whether every block is there, whole by its checksum and of this key: reads them all, and takes none apart.
  bool Complete() const;
  // Writes "artifact.json".
  absl::Status Finish();
  const std::string& folder() const { return folder_; }

 private:
  Artifact(std::string folder, ArtifactIdentity identity);
  std::string PathOf(int64_t index) const;
  absl::StatusOr<model::MappedFile> Map(int64_t index) const;

  const std::string folder_;
  const ArtifactIdentity identity_;
  const std::string key_;
};

// Name of the file that completes an artifact.
constexpr char kManifestName[] = "artifact.json";

}  // namespace uaqf::quantize
