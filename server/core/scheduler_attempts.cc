// What becomes of attempts: batches, expiry, failure, splitting, quarantine.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/divergence.h"
#include "server/core/record_check.h"
#include "server/core/scheduler_impl.h"

namespace uaqf::core {
namespace {

// Marks the records in the lease's list of items, or says why they do not belong there. Then the lease is unusable.
std::string TakeItems(const std::vector<RecordRow>& records, LeaseState* lease) {
  const Chunk& chunk = lease->chunk();
  const ItemOrder& order = lease->job->order;
  const std::vector<std::int32_t> tokens = lease->job->OutputTokens(chunk);
  // Windows are disjoint and whole: the text's tail is dropped.
  const std::int32_t scored = OverWindows(chunk.kind) ? lease->job->spec.quality.context_tokens - 1 : 0;
  for (const RecordRow& record : records) {
    const std::int64_t place = std::int64_t{order.PlaceOf(chunk.kind, record.item)} - chunk.first;
    if (place < 0 || place >= chunk.count) {
      return absl::StrCat("item ", record.item, " is outside the lease, expected one of ",
                          absl::StrJoin(order.ItemsOf(chunk), ", "));
    }
    if (lease->seen[place]) return absl::StrCat("item ", record.item, " came twice");
    const std::int32_t expected = tokens.empty() ? scored : tokens[place];
    std::string why = Contradiction(record, chunk, expected, lease->job->spec.grid);
    if (!why.empty()) return why;
    lease->seen[place] = true;
    ++lease->seen_count;
    Count(record, &lease->sums);
    lease->loose |= TooLoose(record);
    if (chunk.kind == ChunkKind::kGeneration) {
      lease->lengths.emplace_back(record.item,
                                  record.body == RecordBody::kFailure ? kLengthFailed : record.output_tokens);
    }
  }
  return "";
}

}  // namespace

LeaseState* Scheduler::Impl::FindLease(const AttemptId& id, WorkerEntry** worker) {
  const auto owner = lease_owner_.find({id.job, id.chunk});
  if (owner == lease_owner_.end()) return nullptr;
  *worker = &workers_.at(owner->second);
  for (LeaseState& lease : (*worker)->leases) {
    if (lease.id == id) return &lease;
  }
  return nullptr;
}

LeaseState Scheduler::Impl::RemoveLease(WorkerEntry* worker, const AttemptId& id) {
  const auto it = std::find_if(worker->leases.begin(), worker->leases.end(),
                               [&](const LeaseState& lease) { return lease.id == id; });
  LeaseState lease = std::move(*it);
  worker->leases.erase(it);
  lease_owner_.erase({id.job, id.chunk});
  const auto turn = turns_.find(lease.device);
  turn->second.timing -= IsTimed(lease.chunk().kind);
  if (--turn->second.leases == 0) turns_.erase(turn);
  Touch(*worker);
  Touch(*lease.job);
  place_needed_ = true;
  return lease;
}

template <typename Lost>
void Scheduler::Impl::LoseLeases(WorkerEntry* worker, Lost lost, const std::string& why, Instant now) {
  std::vector<AttemptId> ids;
  for (const LeaseState& lease : worker->leases) {
    if (lost(lease)) ids.push_back(lease.id);
  }
  bool first = true;
  for (const AttemptId& id : ids) {
    const LeaseState lease = RemoveLease(worker, id);
    ActiveJob* job = lease.job;
    if (first || lease.seen_count > 0) {
      ++totals_.leases_expired;
      FailAttempt(worker, lease, Outcome::kExpired, why);
    } else {
      ReturnAttempt(lease);
    }
    first = false;
    EndJobIfDone(job, now);
  }
}

void Scheduler::Impl::ExpireLeases(Instant now) {
  for (auto& [id, worker] : workers_) {
    const auto expired = [&](const LeaseState& lease) { return now.mono_ns >= lease.deadline_ns; };
    if (std::none_of(worker.leases.begin(), worker.leases.end(), expired)) continue;
    worker.silent = true;
    LoseLeases(&worker, expired, absl::StrCat("no sign of life from workers/", id, " for the whole lease"), now);
  }
}

void Scheduler::Impl::LoseOldSessions(WorkerEntry* worker, Instant now) {
  const auto old = [&](const LeaseState& lease) { return lease.session != worker->session; };
  if (std::none_of(worker->leases.begin(), worker->leases.end(), old)) return;
  LoseLeases(worker, old, absl::StrCat("workers/", worker->id, " stopped and is another process now"), now);
}

void Scheduler::Impl::ReturnAttempt(const LeaseState& lease) {
  CloseAttempt close;
  close.attempt = lease.id;
  close.outcome = Outcome::kReturned;
  close.next = ChunkState::kPending;
  close.failures = lease.chunk().failures;
  close.tainted_runs = lease.chunk().tainted_runs;
  lease.job->Release(lease.id.chunk);
  mutations_.push_back(std::move(close));
}

void Scheduler::Impl::ReturnAll(WorkerEntry* worker) {
  while (!worker->leases.empty()) {
    const AttemptId id = worker->leases.front().id;
    ReturnAttempt(RemoveLease(worker, id));
  }
}

void Scheduler::Impl::FailAttempt(WorkerEntry* worker, const LeaseState& lease, Outcome outcome,
                                  const std::string& error) {
  ActiveJob* job = lease.job;
  const std::int32_t index = lease.id.chunk;
  ++totals_.attempts_failed;
  ++worker->chunks_failed;
  worker->failed.insert({job->id, index});
  job->NoteFailure(index, worker->id);

  CloseAttempt close;
  close.attempt = lease.id;
  close.outcome = outcome;
  close.failures = ++job->chunks[index].failures;
  close.tainted_runs = lease.chunk().tainted_runs;
  close.error = absl::StrCat(error, " (workers/", worker->id, ")");
  const bool exhausted = close.failures >= job->spec.attempt_limit;
  if (exhausted && lease.chunk().count == 1) {
    Quarantine(lease, std::move(close));
    return;
  }
  ++job->variants[lease.chunk().variant].tally.attempts_rerun;
  job->dirty.insert(lease.chunk().variant);
  if (!exhausted) {
    close.next = ChunkState::kPending;
    job->Release(index);
    mutations_.push_back(std::move(close));
    return;
  }
  Notice(absl::StrCat(ToString(lease.id), " failed ", close.failures, " times, is split: ", close.error));
  close.next = ChunkState::kSplit;
  mutations_.push_back(std::move(close));
  mutations_.push_back(AddChunks{job->id, job->Split(index)});
}

void Scheduler::Impl::Quarantine(const LeaseState& lease, CloseAttempt close) {
  ActiveJob* job = lease.job;
  const Chunk chunk = lease.chunk();
  close.item = job->order.ItemAt(chunk.kind, chunk.first);
  Notice(absl::StrCat(ToString(lease.id), " failed ", close.failures, " times, item ", close.item,
                      " is quarantined: ", close.error));
  const std::int32_t item = close.item;
  close.outcome = Outcome::kQuarantined;
  close.next = ChunkState::kQuarantined;
  mutations_.push_back(std::move(close));
  job->Finish(lease.id.chunk, ChunkState::kQuarantined);
  Tally& tally = job->variants[chunk.variant].tally;
  ++tally.records_quarantined;
  ++tally.chunks_done;
  job->dirty.insert(chunk.variant);
  if (chunk.kind == ChunkKind::kGeneration && job->spec.variants[chunk.variant] == kBaselineVariant) {
    job->SetBaselineLength(item, kLengthFailed);
  }
  FinishVariantIfDone(job, chunk.variant);
}

BatchReply Scheduler::Impl::OnBatch(RecordBatch batch, Instant now) {
  ExpireLeases(now);
  WorkerEntry* worker = nullptr;
  LeaseState* lease = FindLease(batch.attempt, &worker);
  if (lease == nullptr || worker->id != batch.worker) {
    const ActiveJob* job = FindJob(batch.attempt.job);
    const bool known = job != nullptr && batch.attempt.chunk >= 0 &&
                       batch.attempt.chunk < static_cast<std::int32_t>(job->chunks.size());
    // The acknowledgement of an accepted attempt may have been lost: its batches are stored.
    if (known && job->chunks[batch.attempt.chunk].state == ChunkState::kDone &&
        job->chunks[batch.attempt.chunk].epoch == batch.attempt.epoch) {
      return {Verdict::kStored, ""};
    }
    ++totals_.batches_refused;
    return {Verdict::kLeaseLost, absl::StrCat(ToString(batch.attempt), " is not leased to workers/", batch.worker)};
  }
  if (batch.sequence < lease->next_sequence) return {Verdict::kStored, ""};
  if (batch.sequence > lease->next_sequence) {
    return {Verdict::kGap, absl::StrCat(ToString(batch.attempt), ": batch ", batch.sequence, " came, expected ",
                                        lease->next_sequence, ": send again what is not acknowledged")};
  }
  std::string why = batch.contradiction.empty() ? TakeItems(batch.records, lease) : std::move(batch.contradiction);
  const bool whole = lease->seen_count == lease->chunk().count;
  if (why.empty() && batch.has_end && (!whole || batch.end.record_count != lease->chunk().count)) {
    why = absl::StrCat("the end says ", batch.end.record_count, " records, ", lease->seen_count, " came, expected ",
                       lease->chunk().count);
  }
  if (!why.empty()) {
    ++totals_.batches_refused;
    ActiveJob* job = lease->job;
    FailAttempt(worker, RemoveLease(worker, batch.attempt), Outcome::kFailed, why);
    EndJobIfDone(job, now);
    return {Verdict::kRejected, why};
  }
  lease->deadline_ns = std::max(lease->deadline_ns, now.mono_ns + lease->job->spec.lease_ns);
  ++lease->next_sequence;
  mutations_.push_back(AppendRecords{batch.attempt, batch.sequence, std::move(batch.records)});
  if (batch.has_end) EndAttempt(worker, RemoveLease(worker, batch.attempt), std::move(batch.end), now);
  return {Verdict::kStored, ""};
}

void Scheduler::Impl::EndAttempt(WorkerEntry* worker, const LeaseState& lease, AttemptEnd end, Instant now) {
  ActiveJob* job = lease.job;
  Chunk& chunk = job->chunks[lease.id.chunk];
  // Only times suffer from a disturbed device; what was generated or scored is the same.
  const bool tainted = IsTimed(chunk.kind) && !end.evidence.taints.empty();
  CloseAttempt close;
  close.attempt = lease.id;
  close.failures = chunk.failures;
  close.evidence = std::move(end.evidence);
  worker->failed.clear();
  worker->confirmed = 0;
  if (tainted && chunk.tainted_runs < options_.max_tainted_runs) {
    ++totals_.attempts_tainted;
    close.outcome = Outcome::kTainted;
    close.next = ChunkState::kPending;
    close.tainted_runs = ++chunk.tainted_runs;
    Tally& tally = job->variants[chunk.variant].tally;
    ++tally.attempts_tainted;
    ++tally.attempts_rerun;
    job->dirty.insert(chunk.variant);
    job->Release(lease.id.chunk);
    mutations_.push_back(std::move(close));
    return;
  }
  chunk.flagged = close.flagged = tainted;
  close.tainted_runs = chunk.tainted_runs;
  Accept(worker, lease, std::move(close), now);
}

void Scheduler::Impl::Accept(WorkerEntry* worker, const LeaseState& lease, CloseAttempt close, Instant now) {
  ActiveJob* job = lease.job;
  const Chunk chunk = lease.chunk();
  close.outcome = Outcome::kAccepted;
  close.next = ChunkState::kDone;
  mutations_.push_back(std::move(close));
  ++totals_.attempts_accepted;
  totals_.records_accepted += chunk.count;
  ++worker->chunks_done;
  CreditOthers(*worker, lease);
  job->Finish(lease.id.chunk, ChunkState::kDone);
  Tally& tally = job->variants[chunk.variant].tally;
  tally.Add(lease.sums);
  ++tally.chunks_done;
  job->dirty.insert(chunk.variant);
  job->meter.Add(now.mono_ns, chunk.count);
  if (chunk.kind == ChunkKind::kGeneration && job->spec.variants[chunk.variant] == kBaselineVariant) {
    for (const auto& [item, tokens] : lease.lengths) job->SetBaselineLength(item, tokens);
  }
  if (lease.loose) {
    std::vector<Chunk> grown = job->Grow(lease.id.chunk);
    if (!grown.empty()) mutations_.push_back(AddChunks{job->id, std::move(grown)});
  }
  FinishVariantIfDone(job, chunk.variant);
  CountDeviceTime(lease, now);
  const std::int64_t limit = job->spec.allocation.device_time_ns;
  if (limit > 0 && job->device_time_ns >= limit && job->open_chunks() > 0) {
    EndJob(job, JobState::kSucceeded,
           absl::StrCat("its device time of ", static_cast<double>(limit) / 1e9, " s is spent: it measured ",
                        job->RoundsDone(), " of ", job->rounds().count(), " rounds"),
           now);
    return;
  }
  EndJobIfDone(job, now);
}

void Scheduler::Impl::CreditOthers(const WorkerEntry& worker, const LeaseState& lease) {
  for (const WorkerId& id : lease.job->FailedOn(lease.id.chunk)) {
    const auto it = workers_.find(id);
    if (id == worker.id || it == workers_.end()) continue;
    WorkerEntry& other = it->second;
    if (other.failed.erase({lease.id.job, lease.id.chunk}) == 0 || other.benched) continue;
    if (++other.confirmed < options_.bench_after) continue;
    other.benched = true;
    ReturnAll(&other);
    Touch(other);
    place_needed_ = true;
    Notice(absl::StrCat("workers/", id, " is benched: it failed ", other.confirmed,
                        " chunks in a row that others completed"));
  }
}

}  // namespace uaqf::core
