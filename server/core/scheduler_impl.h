// The state behind Scheduler, and its parts: inputs (scheduler.cc), what becomes of attempts (scheduler_attempts.cc),
// of variants and of jobs (scheduler_ends.cc), placement and leasing (scheduler_place.cc), taking turns
// (scheduler_turns.cc), what fits on a device together (scheduler_room.cc), views (scheduler_view.cc). Private to
// server/core.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/core/active_job.h"
#include "server/core/plan.h"
#include "server/core/scheduler.h"

namespace uaqf::core {

// An open attempt.
struct LeaseState {
  AttemptId id;
  ActiveJob* job = nullptr;
  std::string session;  // of the worker process it was given to
  std::string device;
  std::int64_t granted_ns = 0;
  std::int64_t deadline_ns = 0;    // held while now < deadline
  std::int64_t next_sequence = 0;  // batch expected next
  std::vector<bool> seen;          // by place - first
  std::int32_t seen_count = 0;
  Tally sums;
  std::vector<std::pair<std::int32_t, std::int32_t>> lengths;  // (item, output tokens) of generations
  bool loose = false;                                          // TooLoose of a record

  const Chunk& chunk() const { return job->chunks[id.chunk]; }
};

struct WorkerEntry {
  WorkerId id;
  std::string session;
  std::deque<std::string> past_sessions;
  std::int64_t sequence = 0;
  std::int64_t heard_ns = 0;
  bool connected = false;
  bool silent = false;  // a lease of it expired, or nothing was heard for long
  bool draining = false;
  bool lists_items = true;
  bool benched = false;
  Device device;
  std::string device_kind;
  std::string build;
  std::vector<ModelInfo> models;
  HostedVariant hosted;
  // What it shall host; both empty: nothing.
  std::string model;
  std::string variant;
  std::int32_t max_sequence_tokens = 0;
  std::int32_t max_batch = 1;
  // When it was told to host that; 0: it is hosted, or its load tells nothing of the next.
  std::int64_t load_began_ns = 0;
  std::vector<LeaseState> leases;  // in the order to run them
  // Chunks it failed since its last success, and how many of them others then completed.
  std::set<std::pair<JobId, std::int32_t>> failed;
  std::int32_t confirmed = 0;
  std::int64_t chunks_done = 0;
  std::int64_t chunks_failed = 0;

  // Null when it does not know the model, or the variant.
  const ModelInfo* FindModel(const std::string& name) const;
  const VariantInfo* FindVariant(const std::string& of_model, const std::string& name) const;
  // Memory of its device that hosting the variant takes, estimated, bytes; 0: not known.
  // `kv_tokens` of all its KV caches together.
  std::int64_t NeedBytes(const std::string& of_model, const std::string& name, std::int64_t kv_tokens) const;

  bool Live() const { return connected && !silent && !draining && !benched; }
  bool Hosts(const std::string& m, const std::string& v) const {
    return !variant.empty() && model == m && variant == v;
  }
  bool Ready() const {
    return Live() && hosted.state == VariantState::kReady && Hosts(hosted.model, hosted.variant) &&
           hosted.max_sequence_tokens >= max_sequence_tokens && hosted.max_batch >= max_batch;
  }
  bool Loading() const { return Live() && !variant.empty() && !Ready(); }
};

// Who has the turn on a device.
struct Turn {
  WorkerId holder;
  std::int32_t leases = 0;
  std::int32_t timing = 0;
};

class Scheduler::Impl {
 public:
  explicit Impl(SchedulerOptions options) : options_(options) {}

  // Inputs (scheduler.cc).
  void Restore(Snapshot snapshot, Instant now);
  void AddJob(JobId id, JobSpec spec, std::int32_t prompt_count, Instant now);
  absl::Status CancelJob(const JobId& id, Instant now);
  void Stop(const JobId& id, const std::vector<StopOrder>& orders, const std::string& decided, Instant now);
  absl::Status OnReport(WorkerReport report, Instant now);
  void OnDisconnect(const WorkerId& worker, const std::string& session);
  void OnTick(Instant now);
  void SetDraining(bool draining);
  Effects TakeEffects(Instant now);

  // Attempts (scheduler_attempts.cc).
  BatchReply OnBatch(RecordBatch batch, Instant now);

  // Views (scheduler_view.cc).
  std::int64_t NextDeadline() const;
  DesiredState Desired(const WorkerId& worker, Instant now) const;
  std::optional<JobView> Job(const JobId& id, Instant now) const;
  std::vector<JobId> ActiveJobs() const;
  std::vector<WorkerView> Workers() const;
  SchedulerStats Stats() const;

 private:
  using Position = std::pair<std::int32_t, std::int32_t>;  // (position, index) of a chunk

  // --- scheduler.cc
  ActiveJob* FindJob(const JobId& id) const;
  absl::Status UpdateWorker(WorkerReport* report, Instant now);
  // The time that a load took, as far as one to come will take it again.
  void NoteLoad(WorkerEntry* worker, Instant now);
  void NoteProgress(WorkerEntry* worker, const std::vector<AttemptProgress>& attempts, Instant now);
  void ReturnUnbegun(WorkerEntry* worker, const std::vector<AttemptProgress>& attempts, Instant now);
  void OnSurvey(const WorkerEntry& worker, const SurveyResult& result, Instant now);
  void OnLoadFailure(WorkerEntry* worker);
  std::int32_t ModelContext(const std::string& model) const;
  void Touch(const WorkerEntry& worker) { dirty_workers_.insert(worker.id); }
  void Touch(const ActiveJob& job) { dirty_jobs_.insert(job.id); }

  // --- scheduler_attempts.cc
  LeaseState* FindLease(const AttemptId& id, WorkerEntry** worker);
  void ExpireLeases(Instant now);
  // Ends leases for which `lost` holds. The first of the worker's list is charged with a failure, since it was the one
  // that ran; those behind it had not begun and are handed back.
  template <typename Lost>
  void LoseLeases(WorkerEntry* worker, Lost lost, const std::string& why, Instant now);
  void LoseOldSessions(WorkerEntry* worker, Instant now);
  void FailAttempt(WorkerEntry* worker, const LeaseState& lease, Outcome outcome, const std::string& error);
  void ReturnAttempt(const LeaseState& lease);
  // Of a worker that will not run them: its failure to load, or its bench, is not the chunks' fault.
  void ReturnAll(WorkerEntry* worker);
  void Quarantine(const LeaseState& lease, CloseAttempt close);
  void EndAttempt(WorkerEntry* worker, const LeaseState& lease, AttemptEnd end, Instant now);
  void Accept(WorkerEntry* worker, const LeaseState& lease, CloseAttempt close, Instant now);
  void CreditOthers(const WorkerEntry& worker, const LeaseState& lease);
  // Takes the lease out of its worker's list and its device's turn.
  LeaseState RemoveLease(WorkerEntry* worker, const AttemptId& id);
  void FinishVariantIfDone(ActiveJob* job, std::int32_t variant);
  void EndJobIfDone(ActiveJob* job, Instant now);
  void EndJob(ActiveJob* job, JobState state, const std::string& error, Instant now);
  void FailVariant(ActiveJob* job, std::int32_t variant, const std::string& error, Instant now);
  void StopVariant(ActiveJob* job, std::int32_t variant, const std::string& reason);
  // Abandons what is open of the variant.
  void EndVariant(ActiveJob* job, std::int32_t variant, VariantState state, const std::string& reason);
  void CountDeviceTime(const LeaseState& lease, Instant now);
  void FlushVariants(ActiveJob* job);
  void Notice(std::string text) { notices_.push_back(std::move(text)); }

  // --- scheduler_place.cc, the turns in scheduler_turns.cc
  void Place(Instant now);
  void AskForSurveys();
  // Sets ActiveJob::turn_limit.
  void LimitTurn(ActiveJob* job);
  // Whether there are workers enough for all variants of the job that are not done, so that none need make room.
  bool HostsAll(const ActiveJob& job) const;
  bool AnyCanHost(const ActiveJob& job, std::int32_t variant) const;
  // Whether the baseline shall come first, with the lengths that `variant` would soon wait for.
  bool BaselineFirst(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const;
  void GiveUpVariants(Instant now);
  void PlaceDevice(const std::string& device, const std::vector<WorkerEntry*>& live, Instant now);
  ActiveJob* ServedJob(const std::string& device, const std::vector<WorkerEntry*>& live) const;
  bool Assign(ActiveJob* job, const std::string& device, const std::vector<WorkerEntry*>& live, Instant now);
  void Grant(ActiveJob* job, const std::string& device, const std::vector<WorkerEntry*>& live, Instant now);
  void GrantLease(ActiveJob* job, std::int32_t chunk, WorkerEntry* worker, Instant now);
  void DropUnusedAssignments();
  bool CanHost(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const;
  bool MayRun(const ActiveJob& job, std::int32_t chunk, std::int32_t variant, const WorkerEntry& worker) const;
  std::optional<Position> FirstRunnable(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const;
  // Whether its process timed the variant's twin, and there is another one that may run what is left of the variant.
  bool LeftToOthers(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const;
  // The variant of the job that an idle worker shall host next; -1: none.
  std::int32_t PickVariant(const ActiveJob& job, const WorkerEntry& worker) const;
  bool Served(const ActiveJob& job, std::int32_t variant, const WorkerEntry& but) const;
  // Index in the job of what the worker shall host; -1: nothing of this job.
  std::int32_t HostedIndex(const ActiveJob& job, const WorkerEntry& worker) const;
  const std::vector<WorkerEntry*>& HostsOf(const std::string& model, const std::string& variant) const;
  void IndexHosts();

  // --- scheduler_room.cc
  // What the job's variants are to share, as far as it is known when they are planned: the workers of the one device
  // that has its model; no limit when there are several devices.
  HostingRoom RoomFor(const ActiveJob& job) const;
  // The least that any device with the job's model has for it, as far as it is known: what is to run on each must fit
  // there.
  HostingRoom LeastRoomFor(const ActiveJob& job) const;
  // Whether the device holds the variant on this worker beside what its other workers hold.
  bool HasRoom(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const;
  // Takes from workers of a device what they have nothing to do with now, so that others find room.
  void MakeRoom(const ActiveJob& job, const std::vector<WorkerEntry*>& live);

  // --- scheduler_view.cc
  JobView View(const ActiveJob& job, Instant now) const;
  VariantState LiveState(const ActiveJob& job, std::int32_t variant) const;
  CalibrationProgress Calibration(const ActiveJob& job, std::int32_t variant) const;
  bool AnyLive(const std::string& device_kind) const;
  std::string Running(const ActiveJob& job) const;
  std::string Current(const ActiveJob& job) const;

  const SchedulerOptions options_;
  bool draining_ = false;
  bool place_needed_ = true;
  std::vector<std::unique_ptr<ActiveJob>> jobs_;  // oldest first
  absl::flat_hash_map<JobId, ActiveJob*> job_index_;
  std::map<WorkerId, WorkerEntry> workers_;
  std::map<std::string, std::int64_t> counted_ns_;  // by device: time up to here belongs to attempts that were accepted
  std::map<std::string, Turn> turns_;               // by device; only devices with leases
  absl::flat_hash_map<std::pair<JobId, std::int32_t>, WorkerId> lease_owner_;       // by (job, chunk)
  std::map<std::pair<std::string, std::string>, std::vector<WorkerEntry*>> hosts_;  // by (model, variant), live ones

  std::vector<Mutation> mutations_;
  std::set<WorkerId> dirty_workers_;
  std::set<JobId> dirty_jobs_;
  std::vector<JobView> ended_;        // since the last TakeEffects
  std::vector<JobView> ended_views_;  // in the latest effects
  std::vector<std::string> notices_;
  SchedulerStats totals_;
};

}  // namespace uaqf::core
