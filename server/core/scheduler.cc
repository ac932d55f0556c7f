#include "server/core/scheduler.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/divergence.h"
#include "server/core/plan.h"
#include "server/core/scheduler_impl.h"
#include "server/core/validate.h"

namespace uaqf::core {
namespace {

constexpr std::size_t kPastSessions = 16;

bool Lists(const std::vector<AttemptProgress>& attempts, const AttemptId& id) {
  return std::any_of(attempts.begin(), attempts.end(), [&](const AttemptProgress& a) { return a.attempt == id; });
}

}  // namespace

ActiveJob* Scheduler::Impl::FindJob(const JobId& id) const {
  const auto it = job_index_.find(id);
  return it == job_index_.end() ? nullptr : it->second;
}

void Scheduler::Impl::Restore(Snapshot snapshot, Instant now) {
  jobs_.clear();
  job_index_.clear();
  turns_.clear();
  lease_owner_.clear();
  mutations_.clear();
  dirty_jobs_.clear();
  ended_.clear();
  ended_views_.clear();
  // The sessions outlive a failed commit: what workers said of themselves still holds, their leases come from the
  // store.
  for (auto& [id, worker] : workers_) {
    worker.leases.clear();
    Touch(worker);
  }
  for (JobSnapshot& saved : snapshot.jobs) {
    std::vector<OpenAttempt> attempts = std::move(saved.attempts);
    jobs_.push_back(std::make_unique<ActiveJob>(std::move(saved)));
    ActiveJob* job = jobs_.back().get();
    job_index_[job->id] = job;
    Touch(*job);
    for (OpenAttempt& attempt : attempts) {
      WorkerEntry& worker = workers_[attempt.worker];
      worker.id = attempt.worker;
      LeaseState lease;
      lease.id = {job->id, attempt.chunk, attempt.epoch};
      lease.job = job;
      lease.session = std::move(attempt.session);
      lease.device = std::move(attempt.device);
      lease.deadline_ns = now.mono_ns + job->spec.lease_ns;
      lease.next_sequence = attempt.next_sequence;
      lease.sums = attempt.sums;
      lease.lengths = std::move(attempt.lengths);
      lease.loose = attempt.loose;
      lease.seen.resize(lease.chunk().count);
      for (std::int32_t item : attempt.items) {
        lease.seen[job->order.PlaceOf(lease.chunk().kind, item) - lease.chunk().first] = true;
      }
      lease.seen_count = static_cast<std::int32_t>(attempt.items.size());
      Turn& turn = turns_[lease.device];
      turn.holder = worker.id;
      ++turn.leases;
      turn.timing += IsTimed(lease.chunk().kind);
      lease_owner_[{job->id, attempt.chunk}] = worker.id;
      worker.leases.push_back(std::move(lease));
    }
  }
  for (auto& [id, worker] : workers_) {
    if (worker.connected) LoseOldSessions(&worker, now);
  }
  std::vector<ActiveJob*> restored;
  for (const auto& job : jobs_) restored.push_back(job.get());
  for (ActiveJob* job : restored) EndJobIfDone(job, now);
  place_needed_ = true;
}

void Scheduler::Impl::AddJob(JobId id, JobSpec spec, std::int32_t prompt_count, Instant now) {
  jobs_.push_back(std::make_unique<ActiveJob>(std::move(id), std::move(spec), prompt_count, now.wall_ns));
  job_index_[jobs_.back()->id] = jobs_.back().get();
  Touch(*jobs_.back());
  place_needed_ = true;
}

absl::Status Scheduler::Impl::CancelJob(const JobId& id, Instant now) {
  ActiveJob* job = FindJob(id);
  if (job == nullptr) return absl::NotFoundError(absl::StrCat("no active job jobs/", id));
  EndJob(job, JobState::kCancelled, "", now);
  return absl::OkStatus();
}

void Scheduler::Impl::Stop(const JobId& id, const std::vector<StopOrder>& orders, const std::string& decided,
                           Instant now) {
  ActiveJob* job = FindJob(id);
  if (job == nullptr) return;
  if (!decided.empty()) {
    EndJob(job, JobState::kSucceeded, decided, now);
    return;
  }
  for (const StopOrder& order : orders) {
    const bool known = order.variant >= 0 && order.variant < static_cast<std::int32_t>(job->variants.size());
    if (!known || job->variants[order.variant].state >= VariantState::kDone) continue;
    const std::string& name = job->spec.variants[order.variant];
    if (name != kBaselineVariant && name != kBaselineTwin) StopVariant(job, order.variant, order.reason);
  }
  EndJobIfDone(job, now);
}

absl::Status Scheduler::Impl::UpdateWorker(WorkerReport* report, Instant now) {
  if (report->worker.empty() || report->session.empty() || report->device.id.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a worker state needs a worker id, a session and a device id, got \"", report->worker, "\", \"",
                     report->session, "\", \"", report->device.id, "\""));
  }
  WorkerEntry& worker = workers_[report->worker];
  worker.id = report->worker;
  if (std::count(worker.past_sessions.begin(), worker.past_sessions.end(), report->session) > 0) {
    return absl::AbortedError(absl::StrCat("a newer session of workers/", report->worker,
                                           " exists: give every worker its own --name, and end this one"));
  }
  const bool new_session = worker.session != report->session;
  if (new_session) {
    if (!worker.session.empty()) worker.past_sessions.push_back(std::move(worker.session));
    if (worker.past_sessions.size() > kPastSessions) worker.past_sessions.pop_front();
    worker.session = report->session;
    // Another process: it hosts what it says, and what the old one was to host is decided anew.
    const bool usable = report->hosted.state == VariantState::kReady || report->hosted.state == VariantState::kLoading;
    worker.model = usable ? report->hosted.model : "";
    worker.variant = usable ? report->hosted.variant : "";
    worker.max_sequence_tokens = report->hosted.max_sequence_tokens;
    worker.max_batch = report->hosted.max_batch;
    worker.models.clear();
    worker.load_began_ns = 0;
    Touch(worker);
  } else if (worker.connected && report->sequence <= worker.sequence) {
    return absl::AlreadyExistsError("repeated");
  }
  const bool changed = new_session || !worker.connected || worker.silent || worker.draining != report->draining ||
                       worker.hosted.state != report->hosted.state || worker.hosted.variant != report->hosted.variant ||
                       worker.hosted.model != report->hosted.model || worker.device.id != report->device.id ||
                       worker.hosted.max_sequence_tokens != report->hosted.max_sequence_tokens ||
                       worker.hosted.max_batch != report->hosted.max_batch;
  place_needed_ |= changed;
  if (changed || worker.hosted.calibration != report->hosted.calibration) {
    for (const auto& job : jobs_) Touch(*job);
  }
  worker.sequence = report->sequence;
  worker.heard_ns = now.mono_ns;
  worker.connected = true;
  worker.silent = false;
  worker.draining = report->draining;
  worker.lists_items = report->lists_items;
  worker.device = std::move(report->device);
  worker.device_kind = absl::StrCat(worker.device.backend, " ", worker.device.name);
  worker.build = std::move(report->build);
  if (!report->models.empty()) worker.models = std::move(report->models);
  worker.hosted = std::move(report->hosted);
  NoteLoad(&worker, now);
  return absl::OkStatus();
}

absl::Status Scheduler::Impl::OnReport(WorkerReport report, Instant now) {
  ExpireLeases(now);
  const absl::Status status = UpdateWorker(&report, now);
  if (absl::IsAlreadyExists(status)) return absl::OkStatus();  // an old message of this session: nothing new in it
  if (!status.ok()) return status;
  WorkerEntry& worker = workers_[report.worker];
  LoseOldSessions(&worker, now);
  NoteProgress(&worker, report.attempts, now);
  // Neither side begins anything while one drains: what waits goes back instead of holding the stop up.
  if (worker.draining || draining_) ReturnUnbegun(&worker, report.attempts, now);
  for (const SurveyResult& result : report.surveys) OnSurvey(worker, result, now);
  if (worker.hosted.state == VariantState::kFailed) OnLoadFailure(&worker);
  return absl::OkStatus();
}

void Scheduler::Impl::NoteProgress(WorkerEntry* worker, const std::vector<AttemptProgress>& attempts, Instant now) {
  for (const AttemptProgress& progress : attempts) {
    WorkerEntry* owner = nullptr;
    const LeaseState* lease = FindLease(progress.attempt, &owner);
    if (lease == nullptr || owner != worker || progress.error.empty()) continue;
    ActiveJob* job = lease->job;
    FailAttempt(worker, RemoveLease(worker, progress.attempt), Outcome::kFailed, progress.error);
    EndJobIfDone(job, now);
  }
  // An attempt in the list is alive, and so are those that wait behind it.
  bool alive = false;
  for (LeaseState& lease : worker->leases) {
    alive |= Lists(attempts, lease.id);
    if (alive) lease.deadline_ns = std::max(lease.deadline_ns, now.mono_ns + lease.job->spec.lease_ns);
  }
}

void Scheduler::Impl::ReturnUnbegun(WorkerEntry* worker, const std::vector<AttemptProgress>& attempts, Instant now) {
  std::vector<AttemptId> unbegun;
  for (const LeaseState& lease : worker->leases) {
    if (!Lists(attempts, lease.id) && lease.seen_count == 0) unbegun.push_back(lease.id);
  }
  for (const AttemptId& id : unbegun) ReturnAttempt(RemoveLease(worker, id));
  place_needed_ |= !unbegun.empty();
  ExpireLeases(now);
}

std::int32_t Scheduler::Impl::ModelContext(const std::string& model) const {
  for (const auto& [id, worker] : workers_) {
    for (const ModelInfo& info : worker.models) {
      if (info.model == model && info.context_tokens > 0) return info.context_tokens;
    }
  }
  return 0;
}

void Scheduler::Impl::OnSurvey(const WorkerEntry& worker, const SurveyResult& result, Instant now) {
  ActiveJob* job = FindJob(result.job);
  if (job == nullptr || job->planned) return;
  const absl::Status status = ValidateSurvey(job->spec, result.survey, ModelContext(job->spec.model));
  if (!status.ok()) {
    EndJob(job, JobState::kFailed, std::string(status.message()), now);
    return;
  }
  Survey survey = result.survey;
  for (const ModelInfo& info : worker.models) {
    if (info.model != job->spec.model) continue;
    survey.release_format = info.release_format;
    survey.parameters = info.parameters;
  }
  job->survey = std::move(survey);
  const std::vector<VariantGroup> groups = MakeGroups(job->spec, RoomFor(*job));
  const std::vector<bool> streamed = StreamedVariants(job->spec, LeastRoomFor(*job));
  job->SetPlan(MakePlan(job->spec, job->prompt_count, job->survey, groups, streamed));
  if (groups.size() > 1) {
    Notice(absl::StrCat("jobs/", job->id, ": its variants do not fit on the device together: measured in ",
                        groups.size(), " groups, each with ", kBaselineVariant));
  }
  for (std::size_t v = 0; v < streamed.size(); ++v) {
    if (!streamed[v] || job->spec.quality.divergence_mode == DivergenceMode::kStreamed) continue;
    Notice(absl::StrCat("jobs/", job->id, ": ", job->spec.variants[v], " does not fit on a device beside ",
                        kBaselineVariant, ": its divergence is bounded from summaries"));
  }
  mutations_.push_back(PlanJob{job->id, job->survey, job->chunks});
  Touch(*job);
  for (auto& [id, asked] : workers_) {
    if (id == job->survey_worker) Touch(asked);
  }
  place_needed_ = true;
}

void Scheduler::Impl::OnLoadFailure(WorkerEntry* worker) {
  const HostedVariant& hosted = worker->hosted;
  if (!worker->Hosts(hosted.model, hosted.variant)) return;
  for (const auto& job : jobs_) {
    const std::int32_t variant = job->spec.model == hosted.model ? job->VariantIndex(hosted.variant) : -1;
    if (variant < 0) continue;
    job->load_failures[variant].insert(worker->id);
    job->load_errors[variant] = hosted.error;
  }
  Notice(absl::StrCat("workers/", worker->id, " cannot host ", hosted.model, "/", hosted.variant, ": ", hosted.error));
  ReturnAll(worker);
  worker->model.clear();
  worker->variant.clear();
  Touch(*worker);
  place_needed_ = true;
}

void Scheduler::Impl::OnDisconnect(const WorkerId& id, const std::string& session) {
  const auto it = workers_.find(id);
  if (it == workers_.end() || it->second.session != session) return;
  it->second.connected = false;
  for (const auto& job : jobs_) Touch(*job);
  place_needed_ = true;
}

void Scheduler::Impl::OnTick(Instant now) {
  ExpireLeases(now);
  for (auto it = workers_.begin(); it != workers_.end();) {
    WorkerEntry& worker = it->second;
    const bool quiet = now.mono_ns - worker.heard_ns >= options_.silent_after_ns;
    if (quiet && worker.connected && !worker.silent) {
      worker.silent = true;
      place_needed_ = true;
    }
    const bool forget = quiet && !worker.connected && worker.leases.empty() && !worker.benched;
    it = forget ? workers_.erase(it) : std::next(it);
  }
}

void Scheduler::Impl::SetDraining(bool draining) {
  place_needed_ |= draining_ != draining;
  draining_ = draining;
}

Effects Scheduler::Impl::TakeEffects(Instant now) {
  ExpireLeases(now);
  if (place_needed_) Place(now);
  for (const auto& job : jobs_) FlushVariants(job.get());
  Effects effects;
  for (const auto& job : jobs_) {
    if (job->spec.allocation.until_decided <= 0 || job->RoundsDone() <= job->rounds_seen) continue;
    job->rounds_seen = job->RoundsDone();
    if (job->rounds_seen < job->rounds().count()) effects.looks.push_back(job->id);
  }
  effects.mutations.swap(mutations_);
  effects.workers.assign(dirty_workers_.begin(), dirty_workers_.end());
  effects.jobs.assign(dirty_jobs_.begin(), dirty_jobs_.end());
  for (const JobView& view : ended_) effects.ended.push_back(view.id);
  effects.notices.swap(notices_);
  dirty_workers_.clear();
  dirty_jobs_.clear();
  ended_views_.swap(ended_);
  ended_.clear();
  return effects;
}

Scheduler::Scheduler(SchedulerOptions options) : impl_(std::make_unique<Impl>(options)) {}
Scheduler::~Scheduler() = default;

void Scheduler::Restore(Snapshot snapshot, Instant now) { impl_->Restore(std::move(snapshot), now); }
void Scheduler::AddJob(JobId id, JobSpec spec, std::int32_t prompt_count, Instant now) {
  impl_->AddJob(std::move(id), std::move(spec), prompt_count, now);
}
void Scheduler::Stop(const JobId& id, const std::vector<StopOrder>& orders, const std::string& decided, Instant now) {
  impl_->Stop(id, orders, decided, now);
}
absl::Status Scheduler::CancelJob(const JobId& id, Instant now) { return impl_->CancelJob(id, now); }
absl::Status Scheduler::OnReport(WorkerReport report, Instant now) { return impl_->OnReport(std::move(report), now); }
void Scheduler::OnDisconnect(const WorkerId& worker, const std::string& session, Instant) {
  impl_->OnDisconnect(worker, session);
}
BatchReply Scheduler::OnBatch(RecordBatch batch, Instant now) { return impl_->OnBatch(std::move(batch), now); }
void Scheduler::OnTick(Instant now) { impl_->OnTick(now); }
void Scheduler::SetDraining(bool draining, Instant) { impl_->SetDraining(draining); }
Effects Scheduler::TakeEffects(Instant now) { return impl_->TakeEffects(now); }
std::int64_t Scheduler::NextDeadline() const { return impl_->NextDeadline(); }
DesiredState Scheduler::Desired(const WorkerId& worker, Instant now) const { return impl_->Desired(worker, now); }
std::optional<JobView> Scheduler::Job(const JobId& id, Instant now) const { return impl_->Job(id, now); }
std::vector<JobId> Scheduler::ActiveJobs() const { return impl_->ActiveJobs(); }
std::vector<WorkerView> Scheduler::Workers() const { return impl_->Workers(); }
SchedulerStats Scheduler::Stats() const { return impl_->Stats(); }

}  // namespace uaqf::core
