// A lock file of a device, held around every measured item: a worker that slept past its lease and wakes cannot disturb
// the one that took over. The coordinator's lease is what normally keeps them apart; this covers its blind spot.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace uaqf::measure {

// Where lock files live: $UAQF_RUN_DIR, $XDG_RUNTIME_DIR/uaqf, or /tmp/uaqf-{uid}.
std::string RunFolder();

// Advisory (flock), one for each open: two DeviceLocks exclude each other within one process too. Used from one thread.
class DeviceLock {
 public:
  enum class Mode {
    kShared,     // untimed work: may go beside other untimed work
    kExclusive,  // timed work: alone
  };

  // Opens, and creates if need be, the lock file of `device_id` in `folder`. PERMISSION_DENIED or UNAVAILABLE with the
  // path when that fails.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<DeviceLock>> Open(const std::string& folder,
                                                                        const std::string& device_id);
  ~DeviceLock();
  DeviceLock(const DeviceLock&) = delete;
  DeviceLock& operator=(const DeviceLock&) = delete;

  // Waits at most `patience` for the lock. False: somebody still holds it (perhaps stopped), and it is not ours.
  [[nodiscard]] bool Acquire(Mode mode, absl::Duration patience);
  // Gives it up, if it is held.
  void Release();

  const std::string& path() const { return path_; }

 private:
  DeviceLock(int file, std::string path) : file_(file), path_(std::move(path)) {}

  int file_;
  std::string path_;
};

}  // namespace uaqf::measure
