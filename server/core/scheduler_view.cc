// What the scheduler shows: desired states, jobs, workers, counts.
#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/core/scheduler_impl.h"

namespace uaqf::core {
namespace {

constexpr std::int64_t kReportsPerLease = 6;

Lease ToLease(const LeaseState& state, std::int64_t now_ns) {
  const JobSpec& spec = state.job->spec;
  const Chunk& chunk = state.chunk();
  Lease lease;
  lease.attempt = state.id;
  lease.remaining_ns = std::max<std::int64_t>(0, state.deadline_ns - now_ns);
  lease.kind = chunk.kind;
  lease.variant = spec.variants[chunk.variant];
  lease.repeat = chunk.repeat;
  lease.items = state.job->order.ItemsOf(chunk);
  lease.seed = spec.seed;
  lease.summary_k = chunk.summary_k;
  if (OverWindows(chunk.kind)) {
    lease.prompt_set = spec.quality.text_set;
    lease.context_tokens = spec.quality.context_tokens;
  } else if (chunk.kind == ChunkKind::kArticle) {
    lease.prompt_set = spec.quality.article_set;
    lease.context_tokens = spec.quality.context_tokens;
  } else if (chunk.kind == ChunkKind::kTraffic) {
    lease.prompt_set = spec.prompt_set;
    lease.timing = spec.timing;
    for (std::int32_t i = 0; i < chunk.count; ++i) {
      lease.cells.push_back(CellOf(spec.grid, chunk.repeat, chunk.first + i));
    }
  } else {
    lease.prompt_set = chunk.kind == ChunkKind::kTask ? spec.quality.task_set : spec.prompt_set;
    lease.timing = spec.timing;
    lease.output_tokens = state.job->OutputTokens(chunk);
    if (chunk.kind == ChunkKind::kAgreement) {
      lease.timing.max_output_tokens = spec.agreement.output_tokens;
      lease.batch_sizes = spec.agreement.batch_sizes;
    }
  }
  return lease;
}

}  // namespace

std::int64_t Scheduler::Impl::NextDeadline() const {
  std::int64_t next = std::numeric_limits<std::int64_t>::max();
  for (const auto& [id, worker] : workers_) {
    for (const LeaseState& lease : worker.leases) next = std::min(next, lease.deadline_ns);
    if (worker.connected && !worker.silent) next = std::min(next, worker.heard_ns + options_.silent_after_ns);
  }
  return next;
}

DesiredState Scheduler::Impl::Desired(const WorkerId& id, Instant now) const {
  DesiredState desired;
  desired.next_report_ns = options_.idle_report_ns;
  const auto it = workers_.find(id);
  if (it == workers_.end()) return desired;
  const WorkerEntry& worker = it->second;
  desired.acknowledged_sequence = worker.sequence;
  desired.model = worker.model;
  desired.variant = worker.variant;
  desired.max_sequence_tokens = worker.max_sequence_tokens;
  desired.max_batch = worker.max_batch;
  desired.drain = draining_;
  for (const LeaseState& lease : worker.leases) {
    if (lease.session != worker.session) continue;
    desired.leases.push_back(ToLease(lease, now.mono_ns));
    desired.next_report_ns = std::min(desired.next_report_ns, lease.job->spec.lease_ns / kReportsPerLease);
  }
  for (const auto& job : jobs_) {
    if (job->planned || job->survey_worker != id) continue;
    desired.surveys.push_back({job->id, job->spec.model, job->spec.prompt_set, job->spec.quality.text_set,
                               job->spec.quality.context_tokens, job->spec.timing, job->spec.quality.task_set,
                               job->spec.quality.max_task_items, job->spec.variants, job->spec.quality.article_set,
                               job->spec.grid.Empty() ? 0 : job->spec.grid.input_tokens.front()});
  }
  return desired;
}

VariantState Scheduler::Impl::LiveState(const ActiveJob& job, std::int32_t variant) const {
  const VariantState saved = job.variants[variant].state;
  if (saved >= VariantState::kDone) return saved;
  VariantState state = VariantState::kPending;
  for (const auto& [id, worker] : workers_) {
    if (!worker.Hosts(job.spec.model, job.spec.variants[variant])) continue;
    if (worker.Ready()) return VariantState::kReady;
    if (worker.Loading()) state = VariantState::kLoading;
  }
  return state;
}

CalibrationProgress Scheduler::Impl::Calibration(const ActiveJob& job, std::int32_t variant) const {
  CalibrationProgress furthest;
  if (LiveState(job, variant) != VariantState::kLoading) return furthest;
  for (const auto& [id, worker] : workers_) {
    const HostedVariant& hosted = worker.hosted;
    const bool loads = worker.Loading() && worker.Hosts(job.spec.model, job.spec.variants[variant]) &&
                       worker.Hosts(hosted.model, hosted.variant) && hosted.state == VariantState::kLoading;
    if (!loads || hosted.calibration.layers_total <= 0) continue;
    if (furthest.layers_total == 0 || hosted.calibration.layers_done > furthest.layers_done) {
      furthest = hosted.calibration;
    }
  }
  return furthest;
}

std::string Scheduler::Impl::Running(const ActiveJob& job) const {
  for (const auto& [id, worker] : workers_) {
    if (worker.leases.empty() || worker.leases.front().job != &job) continue;
    const Chunk& chunk = worker.leases.front().chunk();
    const std::string& variant = job.spec.variants[chunk.variant];
    return IsTimed(chunk.kind) ? absl::StrCat(variant, chunk.kind == ChunkKind::kTraffic ? " traffic" : "", " repeat ",
                                              chunk.repeat + 1)
                               : absl::StrCat(variant, " ", Name(chunk.kind));
  }
  return "";
}

std::string Scheduler::Impl::Current(const ActiveJob& job) const {
  if (!job.planned) return job.survey_worker.empty() ? "" : "survey of the inputs";
  std::string current = Running(job);
  for (std::size_t v = 0; v < job.spec.variants.size(); ++v) {
    const CalibrationProgress calibration = Calibration(job, static_cast<std::int32_t>(v));
    if (calibration.layers_total == 0) continue;
    absl::StrAppend(&current, current.empty() ? "" : "; ", "calibrating ", job.spec.variants[v], ", layer ",
                    std::min(calibration.layers_done + 1, calibration.layers_total), " of ", calibration.layers_total);
  }
  if (!current.empty()) return current;
  const auto too_old = [&](const auto& entry) { return entry.second.Live() && !entry.second.lists_items; };
  const auto fit = [&](const auto& entry) { return entry.second.Live() && entry.second.lists_items; };
  if (job.spec.shuffled && std::any_of(workers_.begin(), workers_.end(), too_old) &&
      std::none_of(workers_.begin(), workers_.end(), fit)) {
    return "waiting for a worker of the coordinator's version: those that are here know no random order of items";
  }
  if (job.state != JobState::kRunning || AnyLive(job.device_kind)) return "";
  return absl::StrCat("waiting for a worker on ", job.device_kind, ", which this job is measured on");
}

bool Scheduler::Impl::AnyLive(const std::string& device_kind) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const auto& entry) { return entry.second.Live() && entry.second.device_kind == device_kind; });
}

JobView Scheduler::Impl::View(const ActiveJob& job, Instant now) const {
  JobView view;
  view.id = job.id;
  view.spec = job.spec;
  view.state = job.state;
  view.create_wall_ns = job.create_wall_ns;
  view.start_wall_ns = job.start_wall_ns;
  view.error = job.error;
  view.release_format = job.survey.release_format;
  view.parameters = job.survey.parameters;
  view.progress = Summarize(job.spec, job.variants);
  if (Ended(job.state)) return view;
  for (std::size_t v = 0; v < job.variants.size(); ++v) {
    view.progress.variants[v].state = LiveState(job, static_cast<std::int32_t>(v));
    view.progress.variants[v].calibration = Calibration(job, static_cast<std::int32_t>(v));
  }
  view.progress.current = Current(job);
  view.progress.records_per_s = job.meter.PerSecond(now.mono_ns);
  if (job.planned && view.progress.records_per_s > 0) {
    const std::int64_t left =
        view.progress.records_total - view.progress.records_done - view.progress.records_quarantined;
    view.progress.remaining_ns =
        static_cast<std::int64_t>(static_cast<double>(left) / view.progress.records_per_s * 1e9);
  }
  return view;
}

std::optional<JobView> Scheduler::Impl::Job(const JobId& id, Instant now) const {
  if (const ActiveJob* job = FindJob(id); job != nullptr) return View(*job, now);
  for (const std::vector<JobView>* views : {&ended_, &ended_views_}) {
    for (const JobView& view : *views) {
      if (view.id == id) return view;
    }
  }
  return std::nullopt;
}

std::vector<JobId> Scheduler::Impl::ActiveJobs() const {
  std::vector<JobId> ids;
  for (const auto& job : jobs_) ids.push_back(job->id);
  return ids;
}

std::vector<WorkerView> Scheduler::Impl::Workers() const {
  std::vector<WorkerView> views;
  for (const auto& [id, worker] : workers_) {
    if (!worker.connected) continue;
    WorkerView view;
    view.worker = id;
    view.device = worker.device;
    view.build = worker.build;
    view.hosted = worker.hosted;
    view.models = worker.models;
    view.chunks_done = worker.chunks_done;
    view.chunks_failed = worker.chunks_failed;
    view.draining = worker.draining;
    view.benched = worker.benched;
    if (!worker.leases.empty()) view.job = worker.leases.front().id.job;
    views.push_back(std::move(view));
  }
  return views;
}

SchedulerStats Scheduler::Impl::Stats() const {
  SchedulerStats stats = totals_;
  stats.jobs_active = static_cast<std::int64_t>(jobs_.size());
  for (const auto& job : jobs_) {
    stats.chunks_pending += job->open_chunks() - job->leased_chunks();
    stats.chunks_leased += job->leased_chunks();
    for (const VariantStatus& variant : job->variants) {
      if (variant.state == VariantState::kFailed || variant.state == VariantState::kStopped) continue;
      stats.records_pending +=
          variant.tally.records_total - variant.tally.records_done - variant.tally.records_quarantined;
    }
  }
  for (const auto& [id, worker] : workers_) {
    stats.workers_connected += worker.connected;
    stats.workers_benched += worker.benched;
  }
  return stats;
}

}  // namespace uaqf::core
