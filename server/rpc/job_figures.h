// Keeps the figures and decisions of the newest jobs on /metrics, on a thread of its own.
#pragma once

#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/metrics/metrics.h"
#include "server/rpc/job_board.h"
#include "server/rpc/measures.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

class JobFiguresPublisher {
 public:
  // Everything is borrowed. Publishes once at the start, then every `period`, and less often when a round takes long:
  // it shares the machine with what is being timed.
  JobFiguresPublisher(store::JobStore* jobs, Measurer* measurer, const JobBoard* board, metrics::Metrics* metrics,
                      absl::Duration period);
  // Stops and joins.
  ~JobFiguresPublisher();
  JobFiguresPublisher(const JobFiguresPublisher&) = delete;
  JobFiguresPublisher& operator=(const JobFiguresPublisher&) = delete;

  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  void PublishOnce();
  metrics::JobFigures Measure(const core::JobView& view);

  store::JobStore* const jobs_;
  Measurer* const measurer_;
  const JobBoard* const board_;
  metrics::Metrics* const metrics_;
  const absl::Duration period_;
  // What was measured last, with the records and the state it was measured at.
  struct Kept {
    std::int64_t records = -1;
    core::JobState state = core::JobState::kQueued;
    metrics::JobFigures figures;
  };
  std::map<core::JobId, Kept> kept_;

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace uaqf::rpc
