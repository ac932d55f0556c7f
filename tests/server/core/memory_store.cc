#include "tests/server/core/memory_store.h"

#include "server/core/divergence.h"

namespace uaqf::core {

MemoryStore::Job* MemoryStore::Active(const JobId& id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() || Ended(it->second.saved.state) ? nullptr : &it->second;
}

Chunk* MemoryStore::Held(Job* job, const AttemptId& attempt, std::int64_t epoch, ChunkState state) {
  if (job == nullptr || attempt.chunk < 0 || attempt.chunk >= static_cast<std::int32_t>(job->saved.chunks.size())) {
    return nullptr;
  }
  Chunk& chunk = job->saved.chunks[attempt.chunk];
  return chunk.epoch == epoch && chunk.state == state ? &chunk : nullptr;
}

std::vector<bool> MemoryStore::Commit(absl::Span<const Mutation> mutations) {
  ++commit_;
  std::vector<bool> applied;
  for (const Mutation& mutation : mutations) {
    applied.push_back(std::visit([this](const auto& m) { return Apply(m); }, mutation));
  }
  return applied;
}

bool MemoryStore::Apply(const CreateJob& create) {
  if (jobs_.count(create.id) > 0) return false;
  Job& job = jobs_[create.id];
  order_.push_back(create.id);
  job.saved.id = create.id;
  job.saved.spec = create.spec;
  job.saved.prompt_count = create.prompt_count;
  job.saved.create_wall_ns = create.wall_ns;
  job.saved.variants.resize(create.spec.variants.size());
  return true;
}

bool MemoryStore::Apply(const PlanJob& plan) {
  Job* job = Active(plan.job);
  if (job == nullptr || job->saved.planned) return false;
  job->saved.planned = true;
  job->saved.survey = plan.survey;
  job->saved.chunks = plan.chunks;
  return true;
}

bool MemoryStore::Apply(const LeaseChunk& lease) {
  Job* job = Active(lease.attempt.job);
  Chunk* chunk = Held(job, lease.attempt, lease.attempt.epoch - 1, ChunkState::kPending);
  if (chunk == nullptr) return false;
  chunk->state = ChunkState::kLeased;
  chunk->epoch = lease.attempt.epoch;
  Attempt& attempt = job->attempts[{lease.attempt.chunk, lease.attempt.epoch}];
  attempt.open.chunk = lease.attempt.chunk;
  attempt.open.epoch = lease.attempt.epoch;
  attempt.open.worker = lease.worker;
  attempt.open.session = lease.session;
  attempt.open.device = lease.device;
  attempt.lease_commit = attempt.last_commit = commit_;
  return true;
}

bool MemoryStore::Apply(const AppendRecords& append) {
  Job* job = Active(append.attempt.job);
  if (Held(job, append.attempt, append.attempt.epoch, ChunkState::kLeased) == nullptr) return false;
  Attempt& attempt = job->attempts.at({append.attempt.chunk, append.attempt.epoch});
  if (attempt.outcome != Outcome::kOpen || attempt.open.next_sequence != append.sequence) return false;
  ++attempt.open.next_sequence;
  attempt.last_commit = commit_;
  for (const RecordRow& record : append.records) {
    attempt.records.push_back(record);
    attempt.open.items.push_back(record.item);
    attempt.open.lengths.emplace_back(record.item, record.body == RecordBody::kFailure ? -1 : record.output_tokens);
    Count(record, &attempt.open.sums);
    attempt.open.loose |= TooLoose(record);
  }
  return true;
}

bool MemoryStore::Apply(const CloseAttempt& close) {
  Job* job = Active(close.attempt.job);
  Chunk* chunk = Held(job, close.attempt, close.attempt.epoch, ChunkState::kLeased);
  if (chunk == nullptr) return false;
  chunk->state = close.next;
  chunk->failures = close.failures;
  chunk->tainted_runs = close.tainted_runs;
  chunk->flagged = close.flagged;
  Attempt& attempt = job->attempts.at({close.attempt.chunk, close.attempt.epoch});
  attempt.outcome = close.outcome;
  if (close.outcome == Outcome::kAccepted) job->saved.device_time_ns += close.evidence.wall_ns;
  attempt.last_commit = commit_;
  if (close.outcome == Outcome::kQuarantined) {
    RecordRow record;
    record.item = close.item;
    record.repeat = chunk->repeat;
    record.body = RecordBody::kFailure;
    record.failure = close.error;
    attempt.records = {record};
  }
  const bool baseline = job->saved.spec.variants[chunk->variant] == kBaselineVariant;
  if (baseline && chunk->kind == ChunkKind::kGeneration && !Open(chunk->state) && chunk->state != ChunkState::kSplit) {
    for (const RecordRow& record : attempt.records) {
      job->saved.baseline_lengths.emplace_back(record.item,
                                               record.body == RecordBody::kFailure ? -1 : record.output_tokens);
    }
  }
  return true;
}

bool MemoryStore::Apply(const AddChunks& add) {
  Job* job = Active(add.job);
  if (job == nullptr) return false;
  job->saved.chunks.insert(job->saved.chunks.end(), add.chunks.begin(), add.chunks.end());
  return true;
}

void MemoryStore::Abandon(Job* job, std::int32_t variant) {
  for (auto& [key, attempt] : job->attempts) {
    const bool hit = variant < 0 || job->saved.chunks[key.first].variant == variant;
    if (!hit || attempt.outcome != Outcome::kOpen) continue;
    attempt.outcome = Outcome::kAbandoned;
    attempt.last_commit = commit_;
  }
  for (Chunk& chunk : job->saved.chunks) {
    if ((variant < 0 || chunk.variant == variant) && Open(chunk.state)) chunk.state = ChunkState::kAbandoned;
  }
}

bool MemoryStore::Apply(const EndVariant& end) {
  Job* job = Active(end.job);
  if (job == nullptr) return false;
  Abandon(job, end.variant);
  job->saved.variants[end.variant].state = end.state;
  job->saved.variants[end.variant].error = end.reason;
  return true;
}

bool MemoryStore::Apply(const SaveVariant& save) {
  Job* job = Active(save.job);
  if (job == nullptr) return false;
  job->saved.variants[save.variant] = save.status;
  return true;
}

bool MemoryStore::Apply(const SetJobState& set) {
  Job* job = Active(set.job);
  if (job == nullptr) return false;
  job->saved.state = set.state;
  if (!Ended(set.state)) {
    job->saved.start_wall_ns = set.wall_ns;
    job->saved.device_kind = set.device_kind;
    return true;
  }
  Abandon(job, -1);
  job->end_commit = commit_;
  return true;
}

Snapshot MemoryStore::Load() {
  Snapshot snapshot;
  for (const JobId& id : order_) {
    const Job& job = jobs_.at(id);
    if (Ended(job.saved.state)) continue;
    snapshot.jobs.push_back(job.saved);
    std::map<std::pair<std::int64_t, std::int32_t>, OpenAttempt> in_order;  // by (commit, position)
    for (const auto& [key, attempt] : job.attempts) {
      const Chunk& chunk = job.saved.chunks[key.first];
      // Halves of a chunk share its position: their index tells them apart.
      if (attempt.outcome == Outcome::kOpen) {
        in_order[{attempt.lease_commit, chunk.position * 1000 + chunk.index}] = attempt.open;
      }
    }
    for (const auto& [key, open] : in_order) snapshot.jobs.back().attempts.push_back(open);
  }
  return snapshot;
}

JobDump MemoryStore::Dump(const JobId& id) {
  const Job& job = jobs_.at(id);
  JobDump dump;
  dump.id = id;
  dump.spec = job.saved.spec;
  dump.prompt_count = job.saved.prompt_count;
  dump.survey = job.saved.survey;
  dump.state = job.saved.state;
  dump.planned = job.saved.planned;
  dump.end_commit = job.end_commit;
  dump.variants = job.saved.variants;
  dump.chunks = job.saved.chunks;
  for (const auto& [key, attempt] : job.attempts) {
    AttemptDump out;
    out.chunk = key.first;
    out.epoch = key.second;
    out.outcome = attempt.outcome;
    out.lease_commit = attempt.lease_commit;
    out.last_commit = attempt.last_commit;
    for (const RecordRow& record : attempt.records) {
      out.records.push_back({record.item, record.repeat, record.body == RecordBody::kFailure});
    }
    dump.attempts.push_back(std::move(out));
  }
  return dump;
}

}  // namespace uaqf::core
