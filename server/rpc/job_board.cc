#include "server/rpc/job_board.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/wire/status.h"

namespace uaqf::rpc {

void JobBoard::Publish(v1::Job job, bool final) {
  std::vector<std::shared_ptr<JobWatcher>> watchers;
  JobState state;
  {
    absl::MutexLock lock(&mutex_);
    Entry& entry = jobs_[job.name()];
    entry.state = {std::make_shared<const v1::Job>(std::move(job)), ++version_, final};
    state = entry.state;
    for (const auto& [key, weak] : entry.watchers) {
      if (auto watcher = weak.lock()) watchers.push_back(std::move(watcher));
    }
    if (final) {
      watchers_ -= entry.watchers.size();
      jobs_.erase(state.job->name());
    }
  }
  for (const auto& watcher : watchers) watcher->OnJob(state);
}

absl::StatusOr<std::optional<JobState>> JobBoard::Watch(const std::string& name,
                                                        const std::shared_ptr<JobWatcher>& watcher) {
  absl::MutexLock lock(&mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return std::optional<JobState>();
  if (watchers_ >= max_watchers_) {
    return wire::WithRetryDelay(wire::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WATCHERS",
                                            absl::StrCat("got one watcher more than the limit of ", max_watchers_,
                                                         "; try again later, or poll GetJob")),
                                absl::Seconds(5));
  }
  if (found->second.watchers.emplace(watcher.get(), watcher).second) ++watchers_;
  return std::optional<JobState>(found->second.state);
}

void JobBoard::Unwatch(const std::string& name, const JobWatcher* watcher) {
  absl::MutexLock lock(&mutex_);
  const auto found = jobs_.find(name);
  if (found != jobs_.end()) watchers_ -= found->second.watchers.erase(watcher);
}

std::optional<JobState> JobBoard::Latest(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return std::nullopt;
  return found->second.state;
}

std::string JobBoard::DecidedBy(const std::string& profile) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, entry] : jobs_) {
    const v1::AllocationSpec& allocation = entry.state.job->spec().allocation();
    if (allocation.until_decided() > 0 && allocation.profile() == profile) return name;
  }
  return "";
}

std::size_t JobBoard::watchers() const {
  absl::MutexLock lock(&mutex_);
  return watchers_;
}

}  // namespace uaqf::rpc
