#include "server/rpc/tally.h"

#include <variant>

namespace uaqf::rpc {
namespace {

metrics::BatchVerdict Label(core::Verdict verdict) {
  switch (verdict) {
    case core::Verdict::kStored:
      return metrics::BatchVerdict::kStored;
    case core::Verdict::kLeaseLost:
      return metrics::BatchVerdict::kLeaseLost;
    case core::Verdict::kRejected:
      return metrics::BatchVerdict::kRejected;
    case core::Verdict::kGap:
      break;
  }
  return metrics::BatchVerdict::kGap;
}

metrics::AttemptOutcome Label(core::Outcome outcome) {
  switch (outcome) {
    case core::Outcome::kAccepted:
      return metrics::AttemptOutcome::kAccepted;
    case core::Outcome::kTainted:
      return metrics::AttemptOutcome::kTainted;
    case core::Outcome::kFailed:
      return metrics::AttemptOutcome::kFailed;
    case core::Outcome::kExpired:
      return metrics::AttemptOutcome::kExpired;
    case core::Outcome::kReturned:
      return metrics::AttemptOutcome::kReturned;
    case core::Outcome::kQuarantined:
      return metrics::AttemptOutcome::kQuarantined;
    case core::Outcome::kOpen:
    case core::Outcome::kAbandoned:
      break;
  }
  return metrics::AttemptOutcome::kAbandoned;
}

}  // namespace

void Tally(const core::JobView& job, metrics::CoordinatorFigures& figures) {
  switch (job.state) {
    case core::JobState::kQueued:
      ++figures.jobs_queued;
      break;
    case core::JobState::kRunning:
      ++figures.jobs_running;
      break;
    case core::JobState::kSucceeded:
      ++figures.jobs_succeeded;
      break;
    case core::JobState::kCancelled:
      ++figures.jobs_cancelled;
      break;
    case core::JobState::kFailed:
      ++figures.jobs_failed;
      break;
  }
  figures.records_accepted += job.progress.records_done;
  figures.records_quarantined += job.progress.records_quarantined;
}

void Tally(const core::WorkerView& worker, metrics::CoordinatorFigures& figures) {
  if (worker.benched) {
    ++figures.workers_benched;
  } else if (worker.draining) {
    ++figures.workers_draining;
  } else if (worker.hosted.state == core::VariantState::kLoading) {
    ++figures.workers_loading;
  } else if (!worker.job.empty()) {
    ++figures.workers_busy;
  } else {
    ++figures.workers_idle;
  }
}

void CountMutations(const std::vector<core::Mutation>& mutations, metrics::Metrics& metrics) {
  for (const core::Mutation& mutation : mutations) {
    if (std::holds_alternative<core::LeaseChunk>(mutation)) metrics.CountLeases(1);
    const auto* close = std::get_if<core::CloseAttempt>(&mutation);
    if (close == nullptr) continue;
    metrics.CountAttempt(Label(close->outcome));
    if (close->outcome == core::Outcome::kExpired) metrics.CountRerun(metrics::RerunReason::kExpired);
    if (close->outcome == core::Outcome::kFailed) metrics.CountRerun(metrics::RerunReason::kFailed);
    if (close->outcome == core::Outcome::kTainted) metrics.CountRerun(metrics::RerunReason::kTainted);
  }
}

void CountBatch(core::Verdict verdict, metrics::Metrics& metrics) { metrics.CountBatch(Label(verdict)); }

}  // namespace uaqf::rpc
