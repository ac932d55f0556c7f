// The end of variants and of jobs.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/scheduler_impl.h"

namespace uaqf::core {

void Scheduler::Impl::FinishVariantIfDone(ActiveJob* job, std::int32_t variant) {
  VariantStatus& status = job->variants[variant];
  const bool ended = status.state == VariantState::kFailed || status.state == VariantState::kStopped;
  if (job->open_chunks(variant) > 0 || ended) return;
  status.state = VariantState::kDone;
  job->dirty.insert(variant);
}

void Scheduler::Impl::EndVariant(ActiveJob* job, std::int32_t variant, VariantState state, const std::string& reason) {
  for (auto& [id, worker] : workers_) {
    std::vector<AttemptId> ids;
    for (const LeaseState& lease : worker.leases) {
      if (lease.job == job && lease.chunk().variant == variant) ids.push_back(lease.id);
    }
    for (const AttemptId& attempt : ids) {
      RemoveLease(&worker, attempt);
      job->Finish(attempt.chunk, ChunkState::kAbandoned);
      Touch(worker);
    }
  }
  job->AbandonPending(variant);
  job->variants[variant].state = state;
  job->variants[variant].error = reason;
  job->dirty.insert(variant);
  mutations_.push_back(core::EndVariant{job->id, variant, state, reason});
  Touch(*job);
  place_needed_ = true;
}

void Scheduler::Impl::StopVariant(ActiveJob* job, std::int32_t variant, const std::string& reason) {
  EndVariant(job, variant, VariantState::kStopped, reason);
  Notice(absl::StrCat("jobs/", job->id, " measures ", job->spec.variants[variant], " no further: ", reason));
}

void Scheduler::Impl::FailVariant(ActiveJob* job, std::int32_t variant, const std::string& error, Instant now) {
  EndVariant(job, variant, VariantState::kFailed, error);
  Notice(absl::StrCat("jobs/", job->id, " goes on without ", job->spec.variants[variant], ": ", error));
  if (job->spec.variants[variant] == kBaselineVariant && job->WaitsForBaseline()) {
    EndJob(job, JobState::kFailed,
           absl::StrCat(kBaselineVariant, " cannot be hosted, and MATCHED timing needs its output lengths: ", error,
                        ". Choose FIXED or NATURAL to go without"),
           now);
    return;
  }
  EndJobIfDone(job, now);
}

void Scheduler::Impl::CountDeviceTime(const LeaseState& lease, Instant now) {
  std::int64_t& counted = counted_ns_[lease.device];
  // What waits in the pipeline begins when the one before has ended.
  const std::int64_t took = std::max<std::int64_t>(0, now.mono_ns - std::max(lease.granted_ns, counted));
  lease.job->device_time_ns += took;
  lease.job->turn_work_ns += took;
  counted = now.mono_ns;
}

void Scheduler::Impl::EndJobIfDone(ActiveJob* job, Instant now) {
  if (!job->planned || job->open_chunks() > 0) return;
  std::int64_t done = 0;
  std::vector<std::string> errors;
  for (std::size_t v = 0; v < job->variants.size(); ++v) {
    done += job->variants[v].tally.records_done;
    if (!job->variants[v].error.empty()) {
      errors.push_back(absl::StrCat(job->spec.variants[v], ": ", job->variants[v].error));
    }
  }
  if (done > 0) {
    EndJob(job, JobState::kSucceeded, "", now);
    return;
  }
  const std::string why =
      errors.empty() ? "every record was quarantined; see its failure" : absl::StrJoin(errors, "; ");
  EndJob(job, JobState::kFailed, absl::StrCat("no variant could be measured: ", why), now);
}

void Scheduler::Impl::EndJob(ActiveJob* job, JobState state, const std::string& error, Instant now) {
  for (auto& [id, worker] : workers_) {
    std::vector<AttemptId> ids;
    for (const LeaseState& lease : worker.leases) {
      if (lease.job == job) ids.push_back(lease.id);
    }
    for (const AttemptId& attempt : ids) RemoveLease(&worker, attempt);
    if (job->survey_worker == id) Touch(worker);
  }
  FlushVariants(job);
  job->state = state;
  job->error = error;
  JobView view = View(*job, now);
  view.end_wall_ns = now.wall_ns;
  mutations_.push_back(SetJobState{job->id, state, now.wall_ns, error, ""});
  dirty_jobs_.insert(job->id);
  ended_.push_back(std::move(view));
  job_index_.erase(job->id);
  jobs_.erase(std::find_if(jobs_.begin(), jobs_.end(), [&](const auto& j) { return j.get() == job; }));
  place_needed_ = true;
}

void Scheduler::Impl::FlushVariants(ActiveJob* job) {
  for (std::int32_t variant : job->dirty) {
    mutations_.push_back(SaveVariant{job->id, variant, job->variants[variant]});
    Touch(*job);
  }
  job->dirty.clear();
}

}  // namespace uaqf::core
