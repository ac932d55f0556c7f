#include "worker/measure/device_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace uaqf::measure {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(2);

std::string FileName(const std::string& device_id) {
  std::string name;
  for (const char c : device_id) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ? c : '_';
  }
  return absl::StrCat("device-", name, ".lock");
}

}  // namespace

std::string RunFolder() {
  if (const char* folder = std::getenv("UAQF_RUN_DIR"); folder != nullptr && *folder != '\0') return folder;
  if (const char* folder = std::getenv("XDG_RUNTIME_DIR"); folder != nullptr && *folder != '\0') {
    return absl::StrCat(folder, "/uaqf");
  }
  return absl::StrCat("/tmp/uaqf-", getuid());
}

absl::StatusOr<std::unique_ptr<DeviceLock>> DeviceLock::Open(const std::string& folder, const std::string& device_id) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::string path = absl::StrCat(folder, "/", FileName(device_id));
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) {
    return absl::UnavailableError(absl::StrCat("cannot open the device's lock file ", path, ": ", strerror(errno),
                                               "; name a writable folder in UAQF_RUN_DIR"));
  }
  return std::unique_ptr<DeviceLock>(new DeviceLock(file, path));
}

DeviceLock::~DeviceLock() { close(file_); }

bool DeviceLock::Acquire(Mode mode, absl::Duration patience) {
  const int operation = (mode == Mode::kExclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
  const absl::Time deadline = absl::Now() + patience;
  // Polled, since a blocking flock has no deadline and its holder may be stopped for good.
  while (flock(file_, operation) != 0) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(kPoll);
  }
  return true;
}

void DeviceLock::Release() { flock(file_, LOCK_UN); }

}  // namespace uaqf::measure
