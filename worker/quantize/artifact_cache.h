// Artifacts below one folder, each under its key, within a limit of size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/quantize/artifact.h"

namespace uaqf::quantize {

class ArtifactCache {
 public:
  ArtifactCache(std::string folder, int64_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {}

  // The artifact of that identity, whole, in part or new; it is now the one used last.
  absl::StatusOr<std::unique_ptr<Artifact>> Open(const ArtifactIdentity& identity);

  // Removes artifacts, the one used longest ago first, until all fit the limit; never the one of `keep`.
  absl::Status Evict(const ArtifactIdentity& keep);

 private:
  const std::string folder_;
  const int64_t max_bytes_;
};

}  // namespace uaqf::quantize
