#include "server/store/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace uaqf::store {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(50);

std::string Holder(int descriptor) {
  char text[32] = {};
  const ssize_t n = pread(descriptor, text, sizeof(text) - 1, 0);
  return n > 0 ? absl::StrCat("process ", std::string(text, static_cast<std::size_t>(n)))
               : std::string("another process");
}

// Whether `descriptor` is locked now. flock has no deadline, so a wait asks again and again.
bool Lock(int descriptor, absl::Duration patience, const std::function<void(const std::string&)>& on_wait) {
  const auto locked = [descriptor] { return flock(descriptor, LOCK_EX | LOCK_NB) == 0; };
  if (locked()) return true;
  if (patience <= absl::ZeroDuration()) return false;
  const absl::Time deadline = absl::Now() + patience;
  on_wait(Holder(descriptor));
  while (!locked()) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(kPoll);
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(
    const std::string& path, absl::Duration patience, const std::function<void(const std::string& holder)>& on_wait) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return CannotOpen(path, errno);
  if (!Lock(descriptor, patience, on_wait)) {
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
