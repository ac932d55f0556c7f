// What the coordinator wants of this worker, what the worker does, and the difference between the two.
//
// The session writes the desired state in and reads the report out; the runner asks for its next task and tells how it
// went. Nothing here talks to anybody, and time comes in as an argument.
//
//   attempt:  listed, queued -> Begin -> running -> Ended -> unacknowledged -> Stored, Lost -> settled
//                                 |         '-----> Failed: reported until it is not listed any more
//                                 '---------------> not listed any more: cancelled
#pragma once

#include <uaqf/v1/worker_service.pb.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/link/attempt.h"

namespace uaqf::link {

// What the runner shall do next.
struct DropHosted {};
using Task = std::variant<std::monostate, v1::Survey, v1::VariantAssignment, DropHosted, v1::Lease>;

// Thread-safe.
class Board {
 public:
  struct Options {
    // "workers/{worker}".
    std::string worker;
    // Random for every process.
    std::string session;
    v1::Device device;
    std::string build;
  };
  // Whether a running attempt may go on.
  enum class Permit {
    kGo,
    kWait,  // two thirds of the lease are over and the coordinator was not heard of: do nothing until it is
    kStop,  // not wanted any more
  };

  // `report_wanted` is called, with no lock held, when something happened that the coordinator should hear of soon.
  Board(Options options, std::function<void()> report_wanted);

  // --- for the session

  // Replaces what is wanted. Leases last two thirds of their duration from `now_ns` on.
  void Apply(const v1::DesiredState& desired, int64_t now_ns);
  // The worker's whole state under the next sequence number.
  v1::WorkerState Report();

  // --- for the runner

  // Waits for something to do, by the latest desired state: surveys, then hosting, then leases in their order. Empty
  // once stopped.
  Task WaitForTask();
  // Waits at most `patience` for a new desired state, for draining or stopping.
  void WaitForChange(absl::Duration patience);

  void SurveyDone(v1::SurveyResult result);
  // An empty model: nothing is hosted.
  void SetHosted(v1::HostedVariant hosted);
  v1::HostedVariant hosted() const;

  // Whether that assignment is still the desired one; false once the process drains or stops.
  bool Wants(const v1::VariantAssignment& assignment) const;
  void Begin(const Attempt& attempt);
  Permit MayContinue(const Attempt& attempt, int64_t now_ns) const;
  void RecordMade(const Attempt& attempt);
  // All its records are to be handed over and the verdict awaited. False: it is over already, and nothing of it is
  // wanted.
  [[nodiscard]] bool Ended(const Attempt& attempt);
  // From here on, or from the record stream while it runs: then it is to stop.
  void Failed(const Attempt& attempt, const std::string& error);
  // It was dropped on request.
  void Dropped(const Attempt& attempt);
  // True as soon as the running attempt is not wanted any more; for the inside of a long generation.
  const std::atomic<bool>& cancelled() const { return cancelled_; }

  // --- for whoever hears the verdicts

  // Stored, or refused: either way the attempt is over for this worker.
  void Settled(const Attempt& attempt);

  // --- for the process

  void SetModels(std::vector<v1::ModelInfo> models);
  // Takes nothing new from now on, and gives back what was not begun.
  void Drain();
  // Nothing runs and nothing awaits a verdict.
  bool Quiescent() const;
  // Waits at most `patience` until that is so.
  bool WaitUntilQuiescent(absl::Duration patience) const;
  // Ends the runner: nothing may continue, WaitForTask returns.
  void Stop();
  bool stopped() const;

 private:
  struct Progress {
    enum class Stage { kRunning, kUnacknowledged, kFailed } stage = Stage::kRunning;
    int32_t records_made = 0;
    std::string error;
  };

  // The next task as a reference into `desired_`; all empty when there is none.
  struct Next {
    const v1::Survey* survey = nullptr;
    const v1::VariantAssignment* assignment = nullptr;
    const v1::Lease* lease = nullptr;
    bool drop_hosted = false;
  };
  Next NextLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasTaskLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool QuiescentLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::function<void()> report_wanted_;
  std::atomic<bool> cancelled_{false};

  mutable absl::Mutex mutex_;
  v1::DesiredState desired_ ABSL_GUARDED_BY(mutex_);
  // Attempts of the desired leases, with the end of the time in which they may run unheard.
  std::map<Attempt, int64_t> listed_ ABSL_GUARDED_BY(mutex_);
  std::map<Attempt, Progress> progress_ ABSL_GUARDED_BY(mutex_);
  // Listed attempts that are over for this worker: a desired state that crossed their end must not begin them again.
  std::set<Attempt> settled_ ABSL_GUARDED_BY(mutex_);
  v1::HostedVariant hosted_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::SurveyResult> surveys_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ModelInfo> models_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace uaqf::link
