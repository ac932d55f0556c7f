#include "server/store/sqlite_writer.h"

#include "server/store/record_codec.h"
#include "server/store/spec_json.h"
#include "server/store/sqlite_reader.h"

namespace uaqf::store {
namespace {

constexpr std::size_t kKnownJobs = 1000;

template <typename Enum>
std::int32_t Number(Enum value) {
  return static_cast<std::int32_t>(value);
}

MutationResult Lost() { return {Applied::kLost, ""}; }
MutationResult Result(int changed) { return {changed > 0 ? Applied::kYes : Applied::kLost, ""}; }

}  // namespace

void SqliteWriter::Begin() {
  Query query(connection_->Prepare("SELECT commits, acceptances FROM counter"));
  query.Step();
  commit_ = query.Int(0) + 1;
  acceptance_ = query.Int(1);
}

void SqliteWriter::Finish() { Run("UPDATE counter SET commits = ?1, acceptances = ?2", commit_, acceptance_); }

void SqliteWriter::Forget() { seqs_.clear(); }

MutationResult SqliteWriter::Apply(const core::Mutation& mutation) {
  return std::visit([this](const auto& m) { return Write(m); }, mutation);
}

std::int64_t SqliteWriter::Seq(const core::JobId& id) {
  if (const auto it = seqs_.find(id); it != seqs_.end()) return it->second;
  Query query(connection_->Prepare("SELECT seq FROM job WHERE id = ?1"));
  if (!query.Bind(id).Step()) return -1;
  if (seqs_.size() >= kKnownJobs) seqs_.clear();
  return seqs_[id] = query.Int(0);
}

bool SqliteWriter::Active(std::int64_t job) {
  Query query(connection_->Prepare("SELECT 1 FROM job WHERE seq = ?1 AND state < 3"));
  return query.Bind(job).Step();
}

MutationResult SqliteWriter::Write(const core::CreateJob& create) {
  const core::RequestKey& request = create.request;
  const MutationResult found = FindRequest(connection_, request);
  if (found.applied != Applied::kYes) return found;
  if (Seq(create.id) >= 0) return {Applied::kIdTaken, ""};
  const std::string spec = ToJson(create.spec);
  Run("INSERT INTO job(id, principal, request_id, request_digest, spec, prompt_count, state, create_wall_ns) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
      create.id, request.principal, request.request_id, request.digest, spec, create.prompt_count, create.wall_ns);
  const std::int64_t job = Seq(create.id);
  for (std::int32_t v = 0; v < static_cast<std::int32_t>(create.spec.variants.size()); ++v) {
    Run("INSERT INTO variant VALUES(?1, ?2, 1, '', 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0.0)", job, v);
  }
  return {};
}

MutationResult SqliteWriter::Write(const core::PlanJob& plan) {
  const std::int64_t job = Seq(plan.job);
  const int changed =
      Run("UPDATE job SET planned = 1, longest_input_tokens = ?2, text_tokens = ?3, text_windows = ?4, "
          "release_format = ?5, task_items = ?6, longest_task_tokens = ?7, articles = ?8, parameters = ?9 "
          "WHERE seq = ?1 AND planned = 0 AND state < 3",
          job, plan.survey.longest_input_tokens, plan.survey.text_tokens, plan.survey.text_windows,
          plan.survey.release_format, plan.survey.task_items, plan.survey.longest_task_tokens, plan.survey.articles,
          plan.survey.parameters);
  if (changed == 0) return Lost();
  for (const core::Chunk& chunk : plan.chunks) InsertChunk(job, chunk);
  return {};
}

void SqliteWriter::InsertChunk(std::int64_t job, const core::Chunk& chunk) {
  Run("INSERT INTO chunk VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)", job, chunk.index,
      chunk.position, Number(chunk.kind), Number(chunk.state), chunk.variant, chunk.repeat, chunk.first, chunk.count,
      chunk.epoch, chunk.failures, chunk.tainted_runs, chunk.flagged, chunk.group, chunk.summary_k);
}

MutationResult SqliteWriter::Write(const core::LeaseChunk& lease) {
  const std::int64_t job = Seq(lease.attempt.job);
  const int changed =
      Run("UPDATE chunk SET state = 2, epoch = ?3 WHERE job = ?1 AND idx = ?2 AND epoch = ?3 - 1 AND state = 1", job,
          lease.attempt.chunk, lease.attempt.epoch);
  if (changed == 0) return Lost();
  Run("INSERT INTO attempt(job, chunk, epoch, worker, session, device, outcome, next_sequence, lease_commit, "
      "last_commit) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?7)",
      job, lease.attempt.chunk, lease.attempt.epoch, lease.worker, lease.session, lease.device, commit_);
  return {};
}

MutationResult SqliteWriter::Write(const core::AppendRecords& append) {
  const core::AttemptId& attempt = append.attempt;
  const std::int64_t job = Seq(attempt.job);
  const int changed =
      Run("UPDATE attempt SET next_sequence = ?4 + 1, last_commit = ?5 "
          "WHERE job = ?1 AND chunk = ?2 AND epoch = ?3 AND outcome = 0 AND next_sequence = ?4 "
          "AND EXISTS(SELECT 1 FROM chunk WHERE job = ?1 AND idx = ?2 AND epoch = ?3 AND state = 2)",
          job, attempt.chunk, attempt.epoch, append.sequence, commit_);
  if (changed == 0) return Lost();
  for (const core::RecordRow& record : append.records) InsertRecord(job, attempt, record);
  const std::string body = EncodeBatch(append.records);
  const std::string figures = EncodeFigures(append.records);
  Run("INSERT INTO batch VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", job, attempt.chunk, attempt.epoch,
      append.sequence, static_cast<std::int32_t>(append.records.size()), Check(figures), Blob{figures}, Check(body),
      Blob{body});
  return {};
}

void SqliteWriter::InsertRecord(std::int64_t job, const core::AttemptId& attempt, const core::RecordRow& record) {
  Run("INSERT INTO record VALUES(?1, ?2, ?3, ?4, ?5, ?6)", job, attempt.chunk, attempt.epoch, record.item,
      record.repeat, record.body == core::RecordBody::kFailure);
}

MutationResult SqliteWriter::Write(const core::CloseAttempt& close) {
  const core::AttemptId& attempt = close.attempt;
  const std::int64_t job = Seq(attempt.job);
  const int changed =
      Run("UPDATE chunk SET state = ?4, failures = ?5, tainted_runs = ?6, flagged = ?7 "
          "WHERE job = ?1 AND idx = ?2 AND epoch = ?3 AND state = 2",
          job, attempt.chunk, attempt.epoch, Number(close.next), close.failures, close.tainted_runs, close.flagged);
  if (changed == 0) return Lost();
  const core::MemoryUse& memory = close.evidence.memory;
  const std::string taints = close.evidence.taints.empty() ? std::string() : ToJson(close.evidence.taints);
  Run("UPDATE attempt SET outcome = ?4, last_commit = ?5, weights_bytes = ?6, block_weights_bytes = ?7, "
      "kv_cache_bytes = ?8, workspace_bytes = ?9, measured_peak_bytes = ?10, taints = ?11, evidence = ?12, error = "
      "?13, "
      "variant_digest = ?14, wall_ns = ?15 WHERE job = ?1 AND chunk = ?2 AND epoch = ?3",
      job, attempt.chunk, attempt.epoch, Number(close.outcome), commit_, memory.weights_bytes,
      memory.block_weights_bytes, memory.kv_cache_bytes, memory.workspace_bytes, memory.measured_peak_bytes, taints,
      Blob{close.evidence.blob}, close.error, close.evidence.variant_digest, close.evidence.wall_ns);
  if (close.outcome != core::Outcome::kAccepted && close.outcome != core::Outcome::kQuarantined) return {};
  Run("UPDATE attempt SET acceptance = ?4 WHERE job = ?1 AND chunk = ?2 AND epoch = ?3", job, attempt.chunk,
      attempt.epoch, ++acceptance_);
  if (!close.evidence.variant_configuration.empty()) {
    Run("INSERT OR IGNORE INTO configuration SELECT job, variant, ?3, ?4 FROM chunk WHERE job = ?1 AND idx = ?2", job,
        attempt.chunk, close.evidence.variant_digest, close.evidence.variant_configuration);
  }
  if (close.outcome == core::Outcome::kQuarantined) {
    Run("INSERT INTO quarantine SELECT job, idx, epoch, ?4, repeat, ?3 FROM chunk WHERE job = ?1 AND idx = ?2", job,
        attempt.chunk, close.error, close.item);
  }
  return {};
}

MutationResult SqliteWriter::Write(const core::AddChunks& add) {
  const std::int64_t job = Seq(add.job);
  if (!Active(job)) return Lost();
  for (const core::Chunk& chunk : add.chunks) InsertChunk(job, chunk);
  return {};
}

void SqliteWriter::AbandonOpen(std::int64_t job, std::int32_t variant) {
  Run("UPDATE attempt SET outcome = 6, last_commit = ?2 WHERE job = ?1 AND outcome = 0 AND (?3 < 0 OR EXISTS("
      "SELECT 1 FROM chunk WHERE chunk.job = ?1 AND chunk.idx = attempt.chunk AND chunk.variant = ?3))",
      job, commit_, variant);
  Run("UPDATE chunk SET state = 6 WHERE job = ?1 AND state < 3 AND (?2 < 0 OR variant = ?2)", job, variant);
}

MutationResult SqliteWriter::Write(const core::EndVariant& end) {
  const std::int64_t job = Seq(end.job);
  if (!Active(job)) return Lost();
  AbandonOpen(job, end.variant);
  return Result(Run("UPDATE variant SET state = ?3, error = ?4 WHERE job = ?1 AND idx = ?2", job, end.variant,
                    Number(end.state), end.reason));
}

MutationResult SqliteWriter::Write(const core::SaveVariant& save) {
  const std::int64_t job = Seq(save.job);
  if (!Active(job)) return Lost();
  const core::Tally& tally = save.status.tally;
  return Result(Run(
      "UPDATE variant SET state = ?3, error = ?4, records_done = ?5, records_total = ?6, records_quarantined = ?7, "
      "chunks_done = ?8, chunks_total = ?9, attempts_tainted = ?10, attempts_rerun = ?11, timing_records = ?12, "
      "latency_sum_s = ?13, rate_sum = ?14, scored_tokens = ?15, nll_sum = ?16 WHERE job = ?1 AND idx = ?2",
      job, save.variant, Number(save.status.state), save.status.error, tally.records_done, tally.records_total,
      tally.records_quarantined, tally.chunks_done, tally.chunks_total, tally.attempts_tainted, tally.attempts_rerun,
      tally.timing_records, tally.latency_sum_s, tally.rate_sum, tally.scored_tokens, tally.nll_sum));
}

MutationResult SqliteWriter::Write(const core::SetJobState& set) {
  const std::int64_t job = Seq(set.job);
  if (!core::Ended(set.state)) {
    return Result(Run("UPDATE job SET state = ?2, start_wall_ns = ?3, device_kind = ?4 WHERE seq = ?1 AND state = 1",
                      job, Number(set.state), set.wall_ns, set.device_kind));
  }
  if (!Active(job)) return Lost();
  AbandonOpen(job, -1);
  Run("DELETE FROM summary_piece WHERE job = ?1", job);
  Run("DELETE FROM summary WHERE job = ?1", job);
  return Result(Run("UPDATE job SET state = ?2, end_wall_ns = ?3, error = ?4, end_commit = ?5 WHERE seq = ?1", job,
                    Number(set.state), set.wall_ns, set.error, commit_));
}

}  // namespace uaqf::store
