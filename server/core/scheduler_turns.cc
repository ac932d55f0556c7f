// Variants taking turns: how far each goes before it makes room for another, in jobs that decide by rounds (rounds.h).
#include <algorithm>

#include "server/core/scheduler_impl.h"

namespace uaqf::core {

bool Scheduler::Impl::AnyCanHost(const ActiveJob& job, std::int32_t variant) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const auto& entry) { return entry.second.Live() && CanHost(job, variant, entry.second); });
}

bool Scheduler::Impl::HostsAll(const ActiveJob& job) const {
  if (job.rounds().groups() > 1) return false;
  std::vector<std::int32_t> open;
  for (std::int32_t v = 0; v < static_cast<std::int32_t>(job.variants.size()); ++v) {
    if (job.open_chunks(v) > 0) open.push_back(v);
  }
  const auto hosts = std::count_if(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second.Live() &&
           std::any_of(open.begin(), open.end(), [&](std::int32_t v) { return CanHost(job, v, entry.second); });
  });
  return hosts >= static_cast<std::ptrdiff_t>(open.size());
}

void Scheduler::Impl::LimitTurn(ActiveJob* job) {
  if (job->turns() <= 1 || HostsAll(*job)) {
    job->turn_limit = ActiveJob::kNoTurnLimit;
    return;
  }
  // The first turn that is not over. What nobody can host now keeps no other variant waiting.
  std::int32_t turn = 0;
  const auto goes_on = [&](std::int32_t at) {
    for (std::int32_t v = 0; v < static_cast<std::int32_t>(job->variants.size()); ++v) {
      if (job->open_chunks(v, at) > 0 && AnyCanHost(*job, v)) return true;
    }
    return false;
  };
  while (turn < job->turns() && !goes_on(turn)) ++turn;
  const bool limited = job->turn_limit != ActiveJob::kNoTurnLimit;
  if (turn == job->turns() || (limited && turn <= job->turn_limit)) return;
  const Rounds& rounds = job->rounds();
  std::int32_t stage = turn / rounds.groups();
  const std::int32_t first = stage;
  // Workers that host a group together are loaded for each of its turns: only one group can go on for longer.
  if (rounds.groups() == 1 && limited && job->turn_work_ns > 0) {
    const double loads = static_cast<double>(job->turn_load_ns) / static_cast<double>(job->turn_work_ns);
    stage = rounds.LastStage(stage, loads * job->turn_rounds);
  }
  job->turn_limit = rounds.groups() == 1 ? stage : turn;
  job->turn_rounds = rounds.EndOf(stage) - rounds.FirstOf(first);
  job->turn_work_ns = job->turn_load_ns = 0;
}

bool Scheduler::Impl::BaselineFirst(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const {
  if (job.turn_limit == ActiveJob::kNoTurnLimit || job.spec.timing.output_length != OutputLength::kMatched)
    return false;
  const std::int32_t baseline = job.VariantIndex(kBaselineVariant);
  if (baseline < 0 || variant == baseline || !CanHost(job, baseline, worker)) return false;
  if (!HostsOf(job.spec.model, kBaselineVariant).empty() || LeftToOthers(job, baseline, worker)) return false;
  const std::optional<Position> first = FirstRunnable(job, baseline, worker);
  return first.has_value() && job.chunks[first->second].kind == ChunkKind::kGeneration;
}

void Scheduler::Impl::NoteLoad(WorkerEntry* worker, Instant now) {
  if (worker->load_began_ns == 0) return;
  // A calibration is kept: the next load does without.
  if (worker->hosted.calibration.layers_total > 0 || worker->variant.empty()) {
    worker->load_began_ns = 0;
    return;
  }
  if (!worker->Ready()) return;
  for (const auto& job : jobs_) {
    if (job->spec.model == worker->model && job->VariantIndex(worker->variant) >= 0) {
      job->turn_load_ns += now.mono_ns - worker->load_began_ns;
    }
  }
  worker->load_began_ns = 0;
}

}  // namespace uaqf::core
