#include "worker/quantize/artifact_cache.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"

namespace uaqf::quantize {
namespace {

namespace fs = std::filesystem;

struct Entry {
  fs::path path;
  int64_t bytes = 0;
  fs::file_time_type used;  // of the folder itself: Open sets it
};

bool IsKey(const std::string& name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

int64_t BytesBelow(const fs::path& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator(); at.increment(error)) {
    std::error_code unseen;
    const auto size = at->file_size(unseen);
    if (!unseen) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Artifact>> ArtifactCache::Open(const ArtifactIdentity& identity) {
  const fs::path folder = fs::path(folder_) / identity.Key();
  auto artifact = Artifact::Open(folder.string(), identity);
  if (!artifact.ok()) return artifact.status();
  std::error_code ignored;  // an artifact that looks older than it is may be removed early, no more
  fs::last_write_time(folder, fs::file_time_type::clock::now(), ignored);
  return artifact;
}

absl::Status ArtifactCache::Evict(const ArtifactIdentity& keep) {
  std::vector<Entry> entries;
  int64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error); !error && at != fs::directory_iterator(); at.increment(error)) {
    if (!IsKey(at->path().filename().string())) continue;
    std::error_code unseen;
    Entry entry{at->path(), BytesBelow(at->path()), at->last_write_time(unseen)};
    total += entry.bytes;
    if (!unseen && at->path().filename() != keep.Key()) entries.push_back(std::move(entry));
  }
  if (error) return absl::FailedPreconditionError(absl::StrCat("artifacts in ", folder_, ": ", error.message()));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= max_bytes_) break;
    fs::remove_all(entry.path, error);
    if (error) {
      return absl::FailedPreconditionError(absl::StrCat("cannot remove ", entry.path.string(), ": ", error.message()));
    }
    total -= entry.bytes;
  }
  return absl::OkStatus();
}

}  // namespace uaqf::quantize
