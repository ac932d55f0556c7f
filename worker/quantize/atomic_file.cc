#include "worker/quantize/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace uaqf::quantize {
namespace {

absl::Status Failed(const std::string& path, const char* what) {
  const int error = errno;
  const std::string message = absl::StrCat(path, ": ", what, ": ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(absl::StrCat(message, "; free some space, or name another folder"));
  }
  return absl::FailedPreconditionError(message);
}

absl::Status WriteAll(int descriptor, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(descriptor) != 0) return Failed(path, "cannot bring it to disk");
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteAtomically(const std::string& path, std::string_view bytes) {
  // The process's own name: two that write the same file do not write into each other's.
  const std::string part = absl::StrCat(path, ".", getpid(), ".part");
  const int descriptor = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return Failed(part, "cannot open");
  absl::Status status = WriteAll(descriptor, part, bytes);
  close(descriptor);
  if (status.ok() && std::rename(part.c_str(), path.c_str()) != 0) status = Failed(path, "cannot rename to it");
  if (!status.ok()) {
    unlink(part.c_str());
    return status;
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int parent = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return Failed(folder, "cannot open");
  if (fsync(parent) != 0) status = Failed(folder, "cannot bring it to disk");
  close(parent);
  return status;
}

}  // namespace uaqf::quantize
