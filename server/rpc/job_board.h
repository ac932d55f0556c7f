// The latest state of every job that has not ended, and who watches it. A watcher gets the latest state only, so a slow
// one costs one state, however many passed.
#pragma once

#include <uaqf/v1/job.pb.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace uaqf::rpc {

// A state of a job. Versions grow, over all jobs.
struct JobState {
  std::shared_ptr<const v1::Job> job;  // shared by all watchers, never changed
  std::int64_t version = 0;
  bool final = false;
};

class JobWatcher {
 public:
  virtual ~JobWatcher() = default;
  // A newer state. Called from the coordinator's loop: must not block. States may come out of order: compare versions.
  virtual void OnJob(const JobState& state) = 0;
};

// Thread-safe; no watcher is called under the lock.
class JobBoard {
 public:
  explicit JobBoard(std::size_t max_watchers) : max_watchers_(max_watchers) {}

  // Replaces the state and tells the watchers. A final state also takes the job off the board.
  void Publish(v1::Job job, bool final) ABSL_LOCKS_EXCLUDED(mutex_);

  // From now on `watcher` hears of the job until it dies or Unwatch; gives the state that holds now. Nothing when the
  // job is not on the board (ended, or unknown: the store knows). RESOURCE_EXHAUSTED (TOO_MANY_WATCHERS).
  [[nodiscard]] absl::StatusOr<std::optional<JobState>> Watch(const std::string& name,
                                                              const std::shared_ptr<JobWatcher>& watcher)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Unwatch(const std::string& name, const JobWatcher* watcher) ABSL_LOCKS_EXCLUDED(mutex_);

  // The latest state; nothing when the job is not on the board.
  std::optional<JobState> Latest(const std::string& name) const ABSL_LOCKS_EXCLUDED(mutex_);
  // A job on the board that is decided by this profile ("profiles/..."); empty without one.
  std::string DecidedBy(const std::string& profile) const ABSL_LOCKS_EXCLUDED(mutex_);
  std::size_t watchers() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    JobState state;
    std::map<const JobWatcher*, std::weak_ptr<JobWatcher>> watchers;
  };

  const std::size_t max_watchers_;
  mutable absl::Mutex mutex_;
  std::int64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t watchers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Entry> jobs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace uaqf::rpc
