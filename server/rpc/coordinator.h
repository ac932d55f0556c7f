// The loop: one thread that owns the scheduler and is the only writer of jobs.
//
//   mailbox --> take all that waits --> scheduler --> mutations --> ONE transaction --> acks, desired states, watchers
//
// Nothing leaves before the transaction that carries it: an ack means durable, a lease means written. When a
// transaction fails, nothing of that round leaves: record streams end with UNAVAILABLE, the scheduler begins again from
// the store, and a small write is tried every second until the store works; meanwhile no lease is given and serving is
// off.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/core/scheduler.h"
#include "server/core/validate.h"
#include "server/metrics/metrics.h"
#include "server/rpc/job_board.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

// The stream of one worker's session, as the loop sees it. Thread-safe; no method blocks; all are harmless after the
// end.
class WorkerSession {
 public:
  virtual ~WorkerSession() = default;
  // The latest report not yet taken; nothing when there is none, or the session has ended.
  virtual std::optional<core::WorkerReport> TakeReport() = 0;
  // Replaces what was not sent yet.
  virtual void Send(const core::DesiredState& desired) = 0;
  // Ends the stream with this status.
  virtual void End(const absl::Status& status) = 0;
};

// A stream of record batches. Same rules.
class RecordStream {
 public:
  virtual ~RecordStream() = default;
  virtual void Ack(const core::AttemptId& attempt, std::int64_t sequence, const core::BatchReply& reply) = 0;
  virtual void End(const absl::Status& status) = 0;
};

class Coordinator {
 public:
  struct Options {
    core::Limits limits;
    core::SchedulerOptions scheduler;
    // Events that wait; beyond it clients get RESOURCE_EXHAUSTED. Workers bound themselves.
    std::size_t mailbox_capacity = 4096;
    // How often watchers hear of a job at most, and how often a broken store is tried again.
    std::int64_t publish_period_ns = 100'000'000;
    std::int64_t store_retry_ns = 1'000'000'000;
    // After a start, workers need this long to come back: until then a model that none has is asked for again.
    std::int64_t workers_return_ns = 5'000'000'000;
  };
  using JobReply = absl::AnyInvocable<void(absl::StatusOr<core::JobView>)>;
  using View = absl::AnyInvocable<void(const core::Scheduler&, core::Instant)>;
  // Told when serving goes on or off, from the loop.
  using OnServing = std::function<void(bool)>;
  // Told, from the loop and when it is durable, that a job which decides by rounds has finished one: look at its
  // records and call Stop of jobs. Must not block.
  using OnRound = std::function<void(Coordinator&, const core::JobId&)>;

  // Reads the state from the store and starts the loop. Everything is borrowed and must outlive it.
  // Fails as LoadSnapshot and ListJobs do.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Coordinator>> Create(const Options& options,
                                                                           store::JobStore* jobs, JobBoard* board,
                                                                           metrics::Metrics* metrics,
                                                                           OnServing on_serving,
                                                                           OnRound on_round = nullptr);
  // Stops.
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // Commands of clients. `reply` is called once, from the loop, or at once when the mailbox is full.
  // CreateJob fills in the id; its spec must have passed ValidateSpec.
  void CreateJob(core::CreateJob job, JobReply reply);
  void CancelJob(core::JobId id, JobReply reply);
  // What a look at a job's records found, as core::Scheduler::Stop.
  void StopMeasuring(core::JobId id, std::vector<core::StopOrder> orders, std::string decided);
  // Calls `view` from the loop, after what was posted before it is durable. Must be short. False: full or stopped; the
  // view is then destroyed uncalled.
  bool Look(View view);

  // What workers say.
  void PostReport(std::shared_ptr<WorkerSession> session);
  void PostDisconnect(std::shared_ptr<WorkerSession> session);
  void PostBatch(std::shared_ptr<RecordStream> stream, core::RecordBatch batch);

  // No lease from now on. Calls `drained` from the loop once no chunk is leased; at once when none is.
  void Drain(absl::AnyInvocable<void()> drained);
  // Ends all sessions with UNAVAILABLE, stops the loop, joins. Idempotent. What still waits is answered UNAVAILABLE.
  void Stop();

 private:
  struct CreateEvent {
    core::CreateJob job;
    JobReply reply;
  };
  struct CancelEvent {
    core::JobId id;
    JobReply reply;
  };
  struct LookEvent {
    View view;
  };
  struct StopEvent {
    core::JobId id;
    std::vector<core::StopOrder> orders;
    std::string decided;
  };
  struct ReportEvent {
    std::shared_ptr<WorkerSession> session;
  };
  struct DisconnectEvent {
    std::shared_ptr<WorkerSession> session;
  };
  struct BatchEvent {
    std::shared_ptr<RecordStream> stream;
    core::RecordBatch batch;
  };
  struct DrainEvent {
    absl::AnyInvocable<void()> drained;
  };
  using Event = std::variant<CreateEvent, CancelEvent, LookEvent, StopEvent, ReportEvent, DisconnectEvent, BatchEvent,
                             DrainEvent>;

  struct PendingAck {
    std::shared_ptr<RecordStream> stream;
    core::AttemptId attempt;
    std::int64_t sequence = 0;
    core::BatchReply reply;
  };
  struct PendingCancel {
    core::JobId id;
    absl::Status status;
    JobReply reply;
  };
  // What one turn of the loop gathers before its transaction and does after it.
  struct Round {
    std::vector<CreateEvent> creates;
    std::vector<PendingCancel> cancels;
    std::vector<PendingAck> acks;
    std::vector<View> views;
    std::map<core::WorkerId, bool> answer;  // workers that reported
  };
  struct Session {
    std::shared_ptr<WorkerSession> stream;
    std::string id;  // WorkerReport::session
  };

  Coordinator(const Options& options, store::JobStore* jobs, JobBoard* board, metrics::Metrics* metrics,
              OnServing on_serving, OnRound on_round);

  [[nodiscard]] bool Post(Event event, bool bounded) ABSL_LOCKS_EXCLUDED(mutex_);
  std::deque<Event> Take() ABSL_LOCKS_EXCLUDED(mutex_);
  bool stopped() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }
  bool HasEvents() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !mailbox_.empty(); }

  // All below run on the loop's thread.
  absl::Status Load();
  void Run();
  void Turn();
  void Handle(Event event, Round& round, core::Instant now);
  void HandleReport(const std::shared_ptr<WorkerSession>& stream, Round& round, core::Instant now);
  void HandleCreate(CreateEvent event, Round& round, core::Instant now);
  void Commit(Round round, core::Effects effects, core::Instant now);
  void Answer(Round& round, const core::Effects& effects, const std::vector<store::MutationResult>& results,
              core::Instant now);
  void AnswerCreates(std::vector<CreateEvent>& creates, const std::vector<store::MutationResult>& results,
                     core::Instant now);
  void Refuse(Round& round, const absl::Status& status, core::Instant now);
  void StoreFailed(const absl::Status& status, core::Instant now);
  void Begin(core::Snapshot snapshot, core::Instant now);
  void TryStoreAgain(core::Instant now);
  void PublishDue(core::Instant now);
  void PublishJob(const core::JobId& id, core::Instant now);
  void PublishMetrics(core::Instant now);
  void NoticeDrained();
  std::int64_t NextWakeNs(core::Instant now) const;

  const Options options_;
  store::JobStore* const jobs_;
  JobBoard* const board_;
  metrics::Metrics* const metrics_;
  const OnServing on_serving_;
  const OnRound on_round_;

  core::Scheduler scheduler_;
  std::function<std::uint64_t()> random_;
  std::map<core::WorkerId, Session> sessions_;
  std::map<core::JobId, std::int64_t> dirty_;  // jobs to publish, with the earliest time
  std::map<core::JobId, std::int64_t> published_;
  metrics::CoordinatorFigures ended_;    // counts over jobs that have ended
  metrics::CoordinatorFigures figures_;  // published last
  std::int64_t next_metrics_ns_ = 0;
  // While the store is broken: when to try it again, and what to write.
  bool store_ok_ = true;
  bool restore_needed_ = false;
  std::int64_t next_store_try_ns_ = 0;
  std::int64_t returned_ns_ = 0;  // from then on a worker that is not there is gone
  std::optional<core::SaveVariant> probe_;
  bool draining_ = false;
  std::vector<absl::AnyInvocable<void()>> drained_;

  absl::Mutex mutex_;
  std::deque<Event> mailbox_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  // Deadline of the next turn without events, for Take.
  std::int64_t wake_ns_ = 0;
  std::thread thread_;
};

}  // namespace uaqf::rpc
