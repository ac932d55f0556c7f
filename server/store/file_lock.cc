#include "server/store/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace uaqf::store {
namespace {

std::string Holder(int descriptor) {
  char text[32] = {};
  const ssize_t n = pread(descriptor, text, sizeof(text) - 1, 0);
  return n > 0 ? absl::StrCat("process ", std::string(text, static_cast<std::size_t>(n)))
               : std::string("another process");
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return CannotOpen(path, errno);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const std::string holder = Holder(descriptor);
    close(descriptor);
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is held by ", holder,
                     ", another coordinator on the same store: stop it, or name another store with --store"));
  }
  const std::string pid = std::to_string(getpid());
  // The id is only for the message above.
  if (ftruncate(descriptor, 0) == 0 && pwrite(descriptor, pid.data(), pid.size(), 0) < 0) errno = 0;
  return std::unique_ptr<FileLock>(new FileLock(descriptor));
}

absl::Status FileLock::CannotOpen(const std::string& path, int error) {
  const std::string what = absl::StrCat("cannot open ", path, ": ", std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(absl::StrCat(what, ": make the folder first"));
  if (error == ENOSPC) return absl::ResourceExhaustedError(absl::StrCat(what, ": free space on that disk"));
  return absl::PermissionDeniedError(absl::StrCat(what, ": the store's folder must be writable"));
}

FileLock::~FileLock() { close(descriptor_); }

}  // namespace uaqf::store
