// A lock that a process holds on a file until it ends, however it ends.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace uaqf::store {

class FileLock {
 public:
  // Makes the file when it is missing and writes the process id into it. Where another process holds it, calls
  // `on_wait` once with its name and waits, at most `patience`: it may be about to end. FailedPrecondition: it still
  // holds it. NotFound: no such folder. PermissionDenied: it cannot be written.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(
      const std::string& path, absl::Duration patience, const std::function<void(const std::string& holder)>& on_wait);
  // What an `errno` of opening a file of the store means, as a status: those of Acquire, or ResourceExhausted.
  [[nodiscard]] static absl::Status CannotOpen(const std::string& path, int error);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}

  const int descriptor_;
};

}  // namespace uaqf::store
