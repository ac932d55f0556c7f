// A few threads for what may block: reads of the store, aggregation. Reactions of gRPC and the coordinator's loop only
// post to it.
#pragma once

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace uaqf::rpc {

class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;

  // Starts `threads` threads; at most `capacity` tasks wait.
  Executor(int threads, std::size_t capacity);
  // Stops and joins.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // False when it is full or stopped; the task is then destroyed unrun. Never blocks.
  [[nodiscard]] bool Post(Task task) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets running tasks end, destroys the waiting ones, joins. Idempotent; not to be called from a task.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !tasks_.empty(); }

  const std::size_t capacity_;
  absl::Mutex mutex_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace uaqf::rpc
