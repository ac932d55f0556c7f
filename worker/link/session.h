// The Session stream: tells the coordinator the worker's state, and the board what the coordinator wants.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/link/backoff.h"
#include "worker/link/board.h"
#include "worker/link/stream.h"
#include "worker/measure/clock.h"

namespace uaqf::link {

// Thread-safe.
//
// A report leaves when something changed that the coordinator should hear of, and at least every `next_report_in` that
// it asked for. While items are measured (SetMeasuring) only ReportIfDue sends, which the runner calls between items,
// and Tend when a report is overdue by that time again: a lease must not be lost over one long generation.
class Session {
 public:
  // `stub`, `board` and `clock` are borrowed. `wake`: Tend has something to do. On any thread; must not block.
  Session(v1::WorkerService::StubInterface* stub, Board* board, measure::Clock* clock, std::function<void()> wake);
  ~Session();

  // A report is wanted soon.
  void Want();
  void SetMeasuring(bool measuring);
  // Sends a report if one is wanted or due.
  void ReportIfDue(absl::Time now);

  // Opens the stream again when it broke, and sends what is due; from one thread. Returns when to call again at the
  // latest. An error ends the worker: the coordinator refuses it for good.
  absl::StatusOr<absl::Time> Tend(absl::Time now);

  // Sequence of the last report.
  int64_t sent_sequence() const;
  // Waits at most `patience` until a report of this sequence or a later one was answered. False, and at once, while
  // there is no coordinator to answer.
  bool WaitUntilAnswered(int64_t sequence, absl::Duration patience) const;

 private:
  using StateStream = Stream<v1::WorkerState, v1::DesiredState>;

  bool DueLocked(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `patient`: wait for the channel to connect; else end with the reason when it cannot.
  void Open(absl::Time now, bool patient);
  void OnDesired(const v1::DesiredState& desired);
  void OnEnd(const grpc::Status& status);

  v1::WorkerService::StubInterface* const stub_;
  Board* const board_;
  measure::Clock* const clock_;
  const std::function<void()> wake_;

  mutable absl::Mutex mutex_;
  std::unique_ptr<StateStream> stream_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool measuring_ ABSL_GUARDED_BY(mutex_) = false;
  // The coordinator went away, or is silent; the log says so already.
  bool lonely_ ABSL_GUARDED_BY(mutex_) = false;
  bool asking_why_ ABSL_GUARDED_BY(mutex_) = false;  // the call in the stream is not patient
  absl::Duration interval_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1);
  absl::Time last_report_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time last_heard_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time opened_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time retry_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t answered_ ABSL_GUARDED_BY(mutex_) = 0;
  Backoff backoff_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace uaqf::link
