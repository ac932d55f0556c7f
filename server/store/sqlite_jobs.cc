#include <optional>

#include "absl/strings/str_cat.h"
#include "server/core/divergence.h"
#include "server/core/progress.h"
#include "server/store/imported_json.h"
#include "server/store/spec_json.h"
#include "server/store/sqlite_reader.h"

namespace uaqf::store {
namespace {

#define UAQF_JOB_COLUMNS                                                                                      \
  "seq, id, spec, prompt_count, state, create_wall_ns, start_wall_ns, end_wall_ns, end_commit, device_kind, " \
  "error, planned, longest_input_tokens, text_tokens, text_windows, release_format, "                         \
  "task_items, longest_task_tokens, articles, imported, parameters "

// One row of `job`.
struct JobRow {
  std::int64_t seq = 0;
  core::JobId id;
  core::JobSpec spec;
  std::int32_t prompt_count = 0;
  core::JobState state = core::JobState::kQueued;
  std::int64_t create_wall_ns = 0;
  std::int64_t start_wall_ns = 0;
  std::int64_t end_wall_ns = 0;
  std::int64_t end_commit = 0;
  std::string device_kind;
  std::string error;
  bool planned = false;
  core::Survey survey;
  std::optional<core::ImportedTable> imported;
};

JobRow ToJobRow(const Query& query) {
  JobRow row;
  row.seq = query.Int(0);
  row.id = query.Text(1);
  row.spec = SpecFromJson(query.Text(2));
  row.prompt_count = query.Int32(3);
  row.state = static_cast<core::JobState>(query.Int32(4));
  row.create_wall_ns = query.Int(5);
  row.start_wall_ns = query.Int(6);
  row.end_wall_ns = query.Int(7);
  row.end_commit = query.Int(8);
  row.device_kind = query.Text(9);
  row.error = query.Text(10);
  row.planned = query.Int(11) != 0;
  row.survey.longest_input_tokens = query.Int32(12);
  row.survey.text_tokens = query.Int(13);
  row.survey.text_windows = query.Int32(14);
  row.survey.release_format = query.Text(15);
  row.survey.task_items = query.Int32(16);
  row.survey.longest_task_tokens = query.Int32(17);
  row.survey.articles = query.Int32(18);
  if (const std::string table = query.Text(19); !table.empty()) row.imported = ImportedFromJson(table);
  row.survey.parameters = query.Int(20);
  return row;
}

absl::StatusOr<JobRow> FindJob(Connection* connection, const core::JobId& id) {
  Query query(connection->Prepare("SELECT " UAQF_JOB_COLUMNS "FROM job WHERE id = ?1"));
  if (!query.Bind(id).Step()) return absl::NotFoundError(absl::StrCat("no job jobs/", id));
  return ToJobRow(query);
}

std::vector<core::VariantStatus> ReadVariants(Connection* connection, std::int64_t job) {
  std::vector<core::VariantStatus> variants;
  Query query(connection->Prepare(
      "SELECT state, error, records_done, records_total, records_quarantined, chunks_done, chunks_total, "
      "attempts_tainted, attempts_rerun, timing_records, latency_sum_s, rate_sum, scored_tokens, nll_sum "
      "FROM variant WHERE job = ?1 ORDER BY idx"));
  query.Bind(job);
  while (query.Step()) {
    core::VariantStatus variant;
    variant.state = static_cast<core::VariantState>(query.Int32(0));
    variant.error = query.Text(1);
    core::Tally& tally = variant.tally;
    tally.records_done = query.Int(2);
    tally.records_total = query.Int(3);
    tally.records_quarantined = query.Int(4);
    tally.chunks_done = query.Int(5);
    tally.chunks_total = query.Int(6);
    tally.attempts_tainted = query.Int(7);
    tally.attempts_rerun = query.Int(8);
    tally.timing_records = query.Int(9);
    tally.latency_sum_s = query.Real(10);
    tally.rate_sum = query.Real(11);
    tally.scored_tokens = query.Int(12);
    tally.nll_sum = query.Real(13);
    variants.push_back(std::move(variant));
  }
  return variants;
}

std::vector<core::Chunk> ReadChunks(Connection* connection, std::int64_t job) {
  std::vector<core::Chunk> chunks;
  Query query(
      connection->Prepare("SELECT idx, position, kind, state, variant, repeat, first, count, epoch, failures, "
                          "tainted_runs, flagged, variant_group, summary_k FROM chunk WHERE job = ?1 ORDER BY idx"));
  query.Bind(job);
  while (query.Step()) {
    core::Chunk chunk;
    chunk.index = query.Int32(0);
    chunk.position = query.Int32(1);
    chunk.kind = static_cast<core::ChunkKind>(query.Int32(2));
    chunk.state = static_cast<core::ChunkState>(query.Int32(3));
    chunk.variant = query.Int32(4);
    chunk.repeat = query.Int32(5);
    chunk.first = query.Int32(6);
    chunk.count = query.Int32(7);
    chunk.epoch = query.Int(8);
    chunk.failures = query.Int32(9);
    chunk.tainted_runs = query.Int32(10);
    chunk.flagged = query.Int(11) != 0;
    chunk.group = query.Int32(12);
    chunk.summary_k = query.Int32(13);
    chunks.push_back(chunk);
  }
  return chunks;
}

// What was stored of an attempt that is still open.
absl::Status ReadOpenRecords(Connection* connection, const std::string& path, std::int64_t job,
                             core::OpenAttempt* attempt) {
  const auto records = ReadFigures(connection, path, job, attempt->chunk, attempt->epoch);
  if (!records.ok()) return records.status();
  for (const core::RecordRow& row : *records) {
    core::Count(row, &attempt->sums);
    attempt->loose |= core::TooLoose(row);
    attempt->items.push_back(row.item);
    attempt->lengths.emplace_back(row.item, row.body == core::RecordBody::kFailure ? -1 : row.output_tokens);
  }
  return absl::OkStatus();
}

absl::Status ReadOpenAttempts(Connection* connection, const std::string& path, std::int64_t job,
                              core::JobSnapshot* snapshot) {
  Query query(
      connection->Prepare("SELECT a.chunk, a.epoch, a.worker, a.session, a.device, a.next_sequence FROM attempt a "
                          "JOIN chunk c ON c.job = a.job AND c.idx = a.chunk WHERE a.job = ?1 AND a.outcome = 0 "
                          "ORDER BY a.lease_commit, c.position, c.idx"));
  query.Bind(job);
  while (query.Step()) {
    core::OpenAttempt attempt;
    attempt.chunk = query.Int32(0);
    attempt.epoch = query.Int(1);
    attempt.worker = query.Text(2);
    attempt.session = query.Text(3);
    attempt.device = query.Text(4);
    attempt.next_sequence = query.Int(5);
    if (absl::Status status = ReadOpenRecords(connection, path, job, &attempt); !status.ok()) return status;
    snapshot->attempts.push_back(std::move(attempt));
  }
  return absl::OkStatus();
}

absl::Status ReadBaselineLengths(Connection* connection, const std::string& path, std::int64_t job,
                                 core::JobSnapshot* snapshot) {
  for (const core::Chunk& chunk : snapshot->chunks) {
    const bool baseline = chunk.kind == core::ChunkKind::kGeneration &&
                          snapshot->spec.variants.at(chunk.variant) == core::kBaselineVariant;
    if (!baseline) continue;
    if (chunk.state == core::ChunkState::kQuarantined) {
      Query query(connection->Prepare("SELECT item FROM quarantine WHERE job = ?1 AND chunk = ?2"));
      if (query.Bind(job, chunk.index).Step()) snapshot->baseline_lengths.emplace_back(query.Int32(0), -1);
    }
    if (chunk.state != core::ChunkState::kDone) continue;
    const auto records = ReadFigures(connection, path, job, chunk.index, chunk.epoch);
    if (!records.ok()) return records.status();
    for (const core::RecordRow& row : *records) {
      const bool failed = row.body == core::RecordBody::kFailure;
      snapshot->baseline_lengths.emplace_back(row.item, failed ? -1 : row.output_tokens);
    }
  }
  return absl::OkStatus();
}

// Of variants that could be hosted.
std::vector<core::ChunkTimes> ReadChunkTimes(Connection* connection, std::int64_t job) {
  std::vector<core::ChunkTimes> times;
  Query query(connection->Prepare(
      "SELECT c.variant, c.kind, sum(CASE WHEN a.wall_ns > 0 THEN c.count ELSE 0 END), sum(coalesce(a.wall_ns, 0)), "
      "sum(CASE WHEN c.state IN (1, 2) THEN c.count ELSE 0 END), sum(CASE WHEN c.state = 6 THEN c.count ELSE 0 END) "
      "FROM chunk c JOIN variant v ON v.job = c.job AND v.idx = c.variant "
      "LEFT JOIN attempt a ON a.job = c.job AND a.chunk = c.idx AND a.epoch = c.epoch AND a.outcome = 1 "
      "WHERE c.job = ?1 AND v.state != ?2 GROUP BY c.variant, c.kind"));
  query.Bind(job, static_cast<std::int32_t>(core::VariantState::kFailed));
  while (query.Step()) {
    times.push_back({query.Int32(0), static_cast<core::ChunkKind>(query.Int32(1)), query.Int(2), query.Int(3),
                     query.Int(4), query.Int(5)});
  }
  return times;
}

core::JobView ToView(Connection* connection, const JobRow& row) {
  core::JobView view;
  view.id = row.id;
  view.spec = row.spec;
  view.state = row.state;
  view.create_wall_ns = row.create_wall_ns;
  view.start_wall_ns = row.start_wall_ns;
  view.end_wall_ns = row.end_wall_ns;
  view.error = row.error;
  view.release_format = row.survey.release_format;
  view.parameters = row.survey.parameters;
  view.imported = row.imported;
  view.progress = core::Summarize(row.spec, ReadVariants(connection, row.seq));
  return view;
}

}  // namespace

MutationResult FindRequest(Connection* connection, const core::RequestKey& request) {
  Query query(connection->Prepare("SELECT id, request_digest FROM job WHERE principal = ?1 AND request_id = ?2"));
  if (!query.Bind(request.principal, request.request_id).Step()) return {};
  if (query.Text(1) != request.digest) return {Applied::kRequestReused, ""};
  return {Applied::kExists, query.Text(0)};
}

absl::StatusOr<core::Snapshot> LoadSnapshot(Connection* connection, const std::string& path) {
  std::vector<JobRow> rows;
  {
    Query query(connection->Prepare("SELECT " UAQF_JOB_COLUMNS "FROM job WHERE state < 3 ORDER BY seq"));
    while (query.Step()) rows.push_back(ToJobRow(query));
  }
  core::Snapshot snapshot;
  for (JobRow& row : rows) {
    core::JobSnapshot job;
    job.id = row.id;
    job.spec = row.spec;
    job.state = row.state;
    job.create_wall_ns = row.create_wall_ns;
    job.start_wall_ns = row.start_wall_ns;
    job.device_kind = row.device_kind;
    job.planned = row.planned;
    job.survey = row.survey;
    job.prompt_count = row.prompt_count;
    job.variants = ReadVariants(connection, row.seq);
    if (row.planned) {
      job.chunks = ReadChunks(connection, row.seq);
      for (const core::ChunkTimes& times : ReadChunkTimes(connection, row.seq)) job.device_time_ns += times.timed_ns;
      absl::Status status = ReadOpenAttempts(connection, path, row.seq, &job);
      if (status.ok()) status = ReadBaselineLengths(connection, path, row.seq, &job);
      if (!status.ok()) return status;
    }
    snapshot.jobs.push_back(std::move(job));
  }
  return snapshot;
}

absl::StatusOr<core::JobView> GetJob(Connection* connection, const core::JobId& id) {
  absl::StatusOr<JobRow> row = FindJob(connection, id);
  if (!row.ok()) return row.status();
  core::JobView view = ToView(connection, *row);
  if (row->spec.allocation.InRounds())
    view.device_time = core::EstimateDeviceTime(ReadChunkTimes(connection, row->seq));
  return view;
}

JobPage ListJobs(Connection* connection, std::int64_t before, std::int32_t limit) {
  std::vector<JobRow> rows;
  {
    Query query(
        connection->Prepare("SELECT " UAQF_JOB_COLUMNS "FROM job WHERE ?1 = 0 OR seq < ?1 ORDER BY seq DESC LIMIT ?2"));
    query.Bind(before, std::int64_t{limit} + 1);
    while (query.Step()) rows.push_back(ToJobRow(query));
  }
  JobPage page;
  if (static_cast<std::int32_t>(rows.size()) > limit) {
    rows.resize(limit);
    page.next = rows.back().seq;
  }
  for (const JobRow& row : rows) page.jobs.push_back(ToView(connection, row));
  return page;
}

absl::StatusOr<core::JobDump> Dump(Connection* connection, const core::JobId& id) {
  absl::StatusOr<JobRow> row = FindJob(connection, id);
  if (!row.ok()) return row.status();
  core::JobDump dump;
  dump.id = row->id;
  dump.spec = row->spec;
  dump.prompt_count = row->prompt_count;
  dump.survey = row->survey;
  dump.state = row->state;
  dump.planned = row->planned;
  dump.end_commit = row->end_commit;
  dump.variants = ReadVariants(connection, row->seq);
  dump.chunks = ReadChunks(connection, row->seq);
  Query attempts(connection->Prepare(
      "SELECT chunk, epoch, outcome, lease_commit, last_commit FROM attempt WHERE job = ?1 ORDER BY chunk, epoch"));
  attempts.Bind(row->seq);
  while (attempts.Step()) {
    core::AttemptDump attempt;
    attempt.chunk = attempts.Int32(0);
    attempt.epoch = attempts.Int(1);
    attempt.outcome = static_cast<core::Outcome>(attempts.Int32(2));
    attempt.lease_commit = attempts.Int(3);
    attempt.last_commit = attempts.Int(4);
    const bool quarantined = attempt.outcome == core::Outcome::kQuarantined;
    Query records(connection->Prepare(
        quarantined ? "SELECT item, repeat, 1 FROM quarantine WHERE job = ?1 AND chunk = ?2 AND epoch = ?3"
                    : "SELECT item, repeat, failure FROM record WHERE job = ?1 AND chunk = ?2 AND epoch = ?3"));
    records.Bind(row->seq, attempt.chunk, attempt.epoch);
    while (records.Step()) {
      attempt.records.push_back({records.Int32(0), records.Int32(1), records.Int(2) != 0});
    }
    dump.attempts.push_back(std::move(attempt));
  }
  return dump;
}

}  // namespace uaqf::store
