// The scheduler: which worker hosts which variant, which chunk runs now, and what becomes of what comes back.
//
// Pure: no clock, no lock, no I/O, no thread. Its owner (one loop) calls it with what happened and when, takes the
// effects, commits the mutations in one transaction, and only then sends what changed. `now.mono_ns` never goes back.
//
//   scheduler.OnReport(report, now); scheduler.OnBatch(std::move(batch), now); ...   any number of inputs
//   Effects effects = scheduler.TakeEffects(now);
//   store.Commit(effects.mutations) ok  -> acknowledge the batches, send Desired(w) to effects.workers, show Job(j) to
//                                          the watchers of effects.jobs
//                          not ok       -> acknowledge nothing, end the record streams, and begin again:
//                                          Restore(store.LoadSnapshot(), now). Workers report again and go on.
//
// Promise: at-least-once execution, exactly-once recording. An attempt is accepted only under the chunk's latest epoch,
// and each lease has a new one, so what a stale worker sends is refused.
//
// Rules
//  - A device has one turn: at any time at most one worker holds leases on it, for up to `pipeline` chunks that follow
//    each other in the plan. So timing is alone, whatever the number of workers.
//  - On each device the first runnable chunk in plan order of the oldest job runs next.
//  - No TIMING lease begins on a device where a worker loads a variant, and no load begins under one.
//  - A worker keeps its variant while it has a runnable chunk, then gets the first variant of the job without a host,
//    the baseline first. All work completes with one worker.
//  - The baseline and its twin (types.h) are timed by different processes as long as there are two.
//  - Workers of one device host together what its memory holds, by their estimates; a variant that does not fit beside
//    the others waits until one of them has nothing left to do. What does not fit together, or has too few workers, is
//    planned in groups with the baseline in each (plan.h); where several devices have the model, all is one group.
//  - A job in a random order (item_order.h) is not leased to workers of versions that know none.
//  - A job is measured on one kind of device (backend and name), that of its first host.
//  - A lease is held while now < deadline. Every report that lists the attempt moves the deadline. A worker whose
//    lease expired gets no other until it reports again.
//  - A failed chunk goes to a worker that did not fail it, if there is one. After `attempt_limit` failures it is split
//    in halves with one attempt each; a single record is quarantined. Queued attempts that had not begun are not
//    charged.
//  - A worker is benched when `bench_after` chunks that it failed in a row were then accepted from others.
//  - A job that decides by rounds goes on while its rounds are looked at. A stopped variant's open chunks are
//    abandoned. A job whose device time is spent ends with what it has.
//  - Where such a job has fewer workers than variants, variants take turns (rounds.h): chunks of later turns wait until
//    every variant that somebody can host is through with this one, and its device waits with them.
//  - A tainted TIMING attempt is run again at most `max_tainted_runs` times, then kept and flagged.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/core/mutation.h"
#include "server/core/progress.h"
#include "server/core/record.h"
#include "server/core/snapshot.h"
#include "server/core/worker.h"

namespace uaqf::core {

struct SchedulerOptions {
  std::int32_t pipeline = 4;
  std::int32_t max_tainted_runs = 2;
  std::int32_t bench_after = 3;
  // Reports of an idle worker; one that works reports at least every sixth of its lease.
  std::int64_t idle_report_ns = 1'000'000'000;
  // A worker that was not heard of for so long is not counted on, though its session may still be open.
  std::int64_t silent_after_ns = 15'000'000'000;
};

// What the owner has to do. Each list without duplicates, except the mutations, which are in order.
struct Effects {
  std::vector<Mutation> mutations;
  std::vector<WorkerId> workers;  // whose desired state changed
  std::vector<JobId> jobs;        // whose view changed
  std::vector<JobId> ended;       // jobs that ended by these mutations; Job() gives their last view until TakeEffects
                                  // is called again
  std::vector<JobId> looks;       // jobs that decide by rounds and have finished one: look at their records, then Stop
  std::vector<std::string> notices;  // for the log: what was benched, quarantined, split, and why

  bool empty() const { return mutations.empty() && workers.empty() && jobs.empty() && ended.empty() && looks.empty(); }
};

// A variant that need not be measured further.
struct StopOrder {
  std::int32_t variant = 0;
  std::string reason;
};

// The answer to a batch, valid once the mutations have been committed.
struct BatchReply {
  Verdict verdict = Verdict::kStored;
  std::string reason;
};

// Counts for metrics.
struct SchedulerStats {
  std::int64_t jobs_active = 0;
  std::int64_t chunks_pending = 0;
  std::int64_t chunks_leased = 0;
  std::int64_t records_pending = 0;
  std::int64_t workers_connected = 0;
  std::int64_t workers_benched = 0;
  // Since the scheduler began.
  std::int64_t attempts_accepted = 0;
  std::int64_t attempts_tainted = 0;
  std::int64_t attempts_failed = 0;
  std::int64_t leases_expired = 0;
  std::int64_t batches_refused = 0;
  std::int64_t records_accepted = 0;
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerOptions options = {});
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Forgets everything, effects not taken included, and begins from the store. Every open lease gets one full grace
  // period. Workers are known again when they report; statistics and the bench are kept.
  void Restore(Snapshot snapshot, Instant now);

  // A job whose CreateJob was committed. `prompt_count` is that of its prompt set.
  void AddJob(JobId id, JobSpec spec, std::int32_t prompt_count, Instant now);
  // NotFound: no such active job (it may have ended: then cancelling changes nothing; ask the store).
  [[nodiscard]] absl::Status CancelJob(const JobId& id, Instant now);

  // What a look found: stops these variants, the baseline and its twin not among them; where `decided` says why nothing
  // is left to decide, ends the job instead. Harmless for a job or a variant that has ended meanwhile.
  void Stop(const JobId& id, const std::vector<StopOrder>& orders, const std::string& decided, Instant now);

  // One WorkerState. Takes a new session of a known worker as a new process: leases of the old one are lost at once.
  // Aborted: an old session, replaced by a newer one; end that stream (SESSION_REPLACED). InvalidArgument: no worker
  // id, no session, or no device.
  [[nodiscard]] absl::Status OnReport(WorkerReport report, Instant now);
  // The session's stream ended. Its leases stay until they expire: the same session may come back.
  void OnDisconnect(const WorkerId& worker, const std::string& session, Instant now);
  // Records came. The verdict holds once the mutations are committed. A repetition of a stored batch is kStored and
  // writes nothing.
  [[nodiscard]] BatchReply OnBatch(RecordBatch batch, Instant now);
  // Time passed; call at NextDeadline at the latest.
  void OnTick(Instant now);
  // No lease is granted while draining (graceful stop, or a store that cannot be written).
  void SetDraining(bool draining, Instant now);

  // Decides what to lease and assign, and hands over everything that is to be done since the last call.
  [[nodiscard]] Effects TakeEffects(Instant now);

  // Earliest time at which OnTick will change something; INT64_MAX: none.
  std::int64_t NextDeadline() const;
  // What this worker shall do; leases with the time they have left. Empty state for one that is not known.
  DesiredState Desired(const WorkerId& worker, Instant now) const;
  // A job that has not ended, or that ended in the latest effects.
  std::optional<JobView> Job(const JobId& id, Instant now) const;
  std::vector<JobId> ActiveJobs() const;    // oldest first
  std::vector<WorkerView> Workers() const;  // sorted by id; connected ones
  SchedulerStats Stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace uaqf::core
