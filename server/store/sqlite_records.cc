#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/core/item_order.h"
#include "server/store/record_codec.h"
#include "server/store/spec_json.h"
#include "server/store/sqlite_reader.h"

namespace uaqf::store {
namespace {

// One accepted (or quarantined) attempt, with what its records inherit.
struct Accepted {
  std::int64_t acceptance = 0;
  bool quarantined = false;
  std::string evidence;
  StoredRecord common;
};

absl::StatusOr<std::int64_t> Seq(Connection* connection, const core::JobId& id) {
  Query query(connection->Prepare("SELECT seq FROM job WHERE id = ?1"));
  if (!query.Bind(id).Step()) return absl::NotFoundError(absl::StrCat("no job jobs/", id));
  return query.Int(0);
}

Accepted ToAccepted(const Query& query) {
  Accepted attempt;
  attempt.acceptance = query.Int(0);
  attempt.common.chunk = query.Int32(1);
  attempt.common.epoch = query.Int(2);
  attempt.common.worker = query.Text(3);
  attempt.quarantined = query.Int32(4) == static_cast<std::int32_t>(core::Outcome::kQuarantined);
  attempt.common.variant = query.Int32(5);
  attempt.common.kind = static_cast<core::ChunkKind>(query.Int32(6));
  attempt.common.tainted = query.Int(7) != 0;
  attempt.common.group = query.Int32(8);
  attempt.common.variant_digest = query.Text(10);
  if (!attempt.quarantined) attempt.evidence = query.Text(9);
  return attempt;
}

absl::Status Append(Connection* connection, const std::string& path, std::int64_t job, const Accepted& attempt,
                    std::vector<StoredRecord>* records) {
  StoredRecord record = attempt.common;
  if (attempt.quarantined) {
    Query query(connection->Prepare("SELECT item, repeat, failure FROM quarantine WHERE job = ?1 AND chunk = ?2"));
    query.Bind(job, record.chunk);
    while (query.Step()) {
      record.item = query.Int32(0);
      record.repeat = query.Int32(1);
      record.failure = query.Text(2);
      records->push_back(record);
    }
    return absl::OkStatus();
  }
  Query query(connection->Prepare(
      "SELECT body, body_checksum FROM batch WHERE job = ?1 AND chunk = ?2 AND epoch = ?3 ORDER BY sequence"));
  query.Bind(job, record.chunk, record.epoch);
  while (query.Step()) {
    const std::string body = query.Text(0);
    auto decoded = DecodeBatch(body);
    if (Check(body) != query.Int(1) || !decoded.ok()) {
      return Damaged(path, absl::StrCat("the records of chunk ", record.chunk, " do not match their checksum"));
    }
    for (EncodedRecord& encoded : *decoded) {
      record.item = encoded.item;
      record.repeat = encoded.repeat;
      record.blob = std::move(encoded.blob);
      records->push_back(record);
    }
  }
  return absl::OkStatus();
}

// What the rows of one attempt have in common.
struct RowOrigin {
  std::int32_t variant = 0;
  std::int32_t group = 0;
  std::int32_t process = 0;
};

void AddRow(const RowOrigin& origin, const core::RecordRow& row, core::Measurements* out) {
  const std::int32_t variant = origin.variant;
  switch (row.body) {
    case core::RecordBody::kTiming:
      out->timings.variant.push_back(variant);
      out->timings.item.push_back(row.item);
      out->timings.repeat.push_back(row.repeat);
      out->timings.output_tokens.push_back(row.output_tokens);
      out->timings.latency_ns.push_back(row.latency_ns);
      out->timings.prefill_ns.push_back(row.prefill_ns);
      out->timings.decode_ns.push_back(row.decode_ns);
      out->timings.group.push_back(origin.group);
      out->timings.process.push_back(origin.process);
      return;
    case core::RecordBody::kGeneration:
      out->generations.variant.push_back(variant);
      out->generations.item.push_back(row.item);
      out->generations.output_tokens.push_back(row.output_tokens);
      return;
    case core::RecordBody::kWindow:
      out->windows.variant.push_back(variant);
      out->windows.window.push_back(row.item);
      out->windows.scored_tokens.push_back(row.scored_tokens);
      out->windows.nll_sum.push_back(row.nll_sum);
      return;
    case core::RecordBody::kTask:
      for (const core::TaskCheck& check : row.checks) {
        out->tasks.variant.push_back(variant);
        out->tasks.item.push_back(row.item);
        out->tasks.metric.push_back(check.metric);
        out->tasks.passed.push_back(check.passed);
        out->tasks.made.push_back(check.made);
      }
      return;
    case core::RecordBody::kDivergence:
      out->divergences.variant.push_back(variant);
      out->divergences.window.push_back(row.item);
      out->divergences.positions.push_back(row.scored_tokens);
      out->divergences.kl_sum.push_back(row.kl_sum);
      out->divergences.kl_upper_sum.push_back(row.kl_upper_sum);
      out->divergences.summary_k.push_back(row.summary_k);
      out->divergences.same_top.push_back(row.same_top);
      out->divergences.top_k.push_back(row.top_k);
      out->divergences.shared_top.push_back(row.shared_top);
      return;
    case core::RecordBody::kArticle:
      out->articles.variant.push_back(variant);
      out->articles.article.push_back(row.item);
      out->articles.tokens.push_back(row.scored_tokens);
      out->articles.nll_sum.push_back(row.nll_sum);
      out->articles.words.push_back(row.words);
      out->articles.bytes.push_back(row.bytes);
      return;
    case core::RecordBody::kTraffic:
      out->traffic.variant.push_back(variant);
      out->traffic.cell.push_back(row.item);
      out->traffic.draw.push_back(row.repeat);
      out->traffic.latency_ns.push_back(row.latency_ns);
      out->traffic.prefill_ns.push_back(row.prefill_ns);
      out->traffic.decode_ns.push_back(row.decode_ns);
      out->traffic.prefill_shares.push_back(row.prefill_shares);
      out->traffic.decode_shares.push_back(row.decode_shares);
      out->traffic.group.push_back(origin.group);
      return;
    case core::RecordBody::kSummary:    // only others are measured with it
    case core::RecordBody::kAgreement:  // ReadAgreements
    case core::RecordBody::kFailure:
      return;
  }
}

void ReadFacts(Connection* connection, std::int64_t job, core::Measurements* out) {
  {
    Query query(connection->Prepare("SELECT spec, prompt_count, text_windows FROM job WHERE seq = ?1"));
    query.Bind(job).Step();
    const core::JobSpec spec = SpecFromJson(query.Text(0));
    for (const std::string& name : spec.variants) out->variants.emplace_back().name = name;
    core::Survey survey;
    survey.text_windows = query.Int32(2);
    const core::ItemOrder order(spec, core::CountItems(spec, query.Int32(1), survey));
    out->prompt_places = order.prompt_places();
    out->window_places = order.window_places();
  }
  Query query(connection->Prepare(
      "SELECT v.idx, v.records_quarantined, "
      "(SELECT count(*) FROM chunk c WHERE c.job = v.job AND c.variant = v.idx AND c.flagged = 1 AND c.state = 3) "
      "FROM variant v WHERE v.job = ?1"));
  query.Bind(job);
  while (query.Step()) {
    core::VariantFacts& facts = out->variants.at(query.Int32(0));
    facts.quarantined = query.Int(1);
    facts.tainted_chunks = query.Int32(2);
  }
  Query failures(
      connection->Prepare("SELECT c.variant, q.failure, min(q.chunk) FROM quarantine q JOIN chunk c ON c.job = q.job "
                          "AND c.idx = q.chunk WHERE q.job = ?1 GROUP BY c.variant"));
  failures.Bind(job);
  while (failures.Step()) out->variants.at(failures.Int32(0)).failure = failures.Text(1);
}

// Memory of the variants from their latest accepted attempts.
void ReadMemory(Connection* connection, std::int64_t job, core::Measurements* out) {
  Query query(connection->Prepare(
      "SELECT c.variant, a.weights_bytes, a.block_weights_bytes, a.kv_cache_bytes, a.workspace_bytes, "
      "a.measured_peak_bytes, max(a.acceptance) FROM attempt a JOIN chunk c ON c.job = a.job AND c.idx = a.chunk "
      "WHERE a.job = ?1 AND a.outcome = 1 GROUP BY c.variant"));
  query.Bind(job);
  while (query.Step()) {
    out->variants.at(query.Int32(0)).memory =
        core::MemoryUse{query.Int(1), query.Int(2), query.Int(3), query.Int(4), query.Int(5)};
  }
}

void ReadConfigurations(Connection* connection, std::int64_t job, core::Measurements* out) {
  Query query(
      connection->Prepare("SELECT variant, digest, body FROM configuration WHERE job = ?1 ORDER BY variant, digest"));
  query.Bind(job);
  while (query.Step()) {
    out->variants.at(query.Int32(0)).configurations.push_back({query.Text(1), query.Text(2)});
  }
}

// The whole records of agreement: a few hundred.
absl::Status ReadAgreements(Connection* connection, const std::string& path, std::int64_t job,
                            core::Measurements* out) {
  Query query(
      connection->Prepare("SELECT c.variant, c.idx, b.body, b.body_checksum FROM chunk c "
                          "JOIN attempt a ON a.job = c.job AND a.chunk = c.idx AND a.epoch = c.epoch AND a.outcome = 1 "
                          "JOIN batch b ON b.job = c.job AND b.chunk = c.idx AND b.epoch = c.epoch "
                          "WHERE c.job = ?1 AND c.state = 3 AND c.kind = ?2"));
  query.Bind(job, static_cast<std::int32_t>(core::ChunkKind::kAgreement));
  while (query.Step()) {
    const std::string body = query.Text(2);
    auto records = DecodeBatch(body);
    if (Check(body) != query.Int(3) || !records.ok()) {
      return Damaged(path, absl::StrCat("the records of chunk ", query.Int32(1), " do not match their checksum"));
    }
    for (EncodedRecord& record : *records) {
      out->agreements.push_back({query.Int32(0), record.item, std::move(record.blob)});
    }
  }
  return absl::OkStatus();
}

// Of the accepted attempts, without what their records tell; gives the place of each chunk's.
std::map<std::int32_t, std::size_t> ReadAttempts(Connection* connection, std::int64_t job, core::Measurements* out) {
  Query query(connection->Prepare(
      "SELECT c.idx, c.variant, c.kind, c.repeat, c.first, c.count, c.flagged, a.evidence, c.variant_group "
      "FROM attempt a "
      "JOIN chunk c ON c.job = a.job AND c.idx = a.chunk "
      "WHERE a.job = ?1 AND a.outcome = 1 ORDER BY a.acceptance"));
  query.Bind(job);
  std::map<std::int32_t, std::size_t> places;
  while (query.Step()) {
    core::AttemptEvidence attempt;
    attempt.chunk = query.Int32(0);
    attempt.variant = query.Int32(1);
    attempt.kind = static_cast<core::ChunkKind>(query.Int32(2));
    attempt.repeat = query.Int32(3);
    attempt.first = query.Int32(4);
    attempt.count = query.Int32(5);
    attempt.tainted = query.Int(6) != 0;
    attempt.evidence = query.Text(7);
    attempt.group = query.Int32(8);
    places[attempt.chunk] = out->attempts.size();
    out->attempts.push_back(std::move(attempt));
  }
  return places;
}

// `rows` of one batch; `sequence` tells whether the attempt's first record is among them.
void AddTo(core::AttemptEvidence* attempt, const std::vector<core::RecordRow>& rows, std::int64_t sequence) {
  for (const core::RecordRow& row : rows) {
    if (row.body != core::RecordBody::kTiming) continue;
    attempt->output_tokens += row.output_tokens;
    if (sequence == 0 && &row == &rows.front()) attempt->first_output_tokens += row.output_tokens;
    attempt->latency_sum_s += static_cast<double>(row.latency_ns) / 1e9;
  }
}

}  // namespace

absl::StatusOr<std::vector<core::RecordRow>> ReadFigures(Connection* connection, const std::string& path,
                                                         std::int64_t job, std::int32_t chunk, std::int64_t epoch) {
  Query query(connection->Prepare(
      "SELECT figures, figures_checksum FROM batch WHERE job = ?1 AND chunk = ?2 AND epoch = ?3 ORDER BY sequence"));
  query.Bind(job, chunk, epoch);
  std::vector<core::RecordRow> records;
  while (query.Step()) {
    const std::string figures = query.Text(0);
    auto rows = DecodeFigures(figures);
    if (Check(figures) != query.Int(1) || !rows.ok()) {
      return Damaged(path, absl::StrCat("the records of chunk ", chunk, " do not match their checksum"));
    }
    std::move(rows->begin(), rows->end(), std::back_inserter(records));
  }
  return records;
}

absl::StatusOr<RecordPage> ReadRecords(Connection* connection, const std::string& path, const core::JobId& id,
                                       const RecordCursor& cursor, const RecordFilter& filter, std::int32_t limit) {
  const absl::StatusOr<std::int64_t> job = Seq(connection, id);
  if (!job.ok()) return job.status();
  Query query(connection->Prepare(
      "SELECT a.acceptance, a.chunk, a.epoch, a.worker, a.outcome, c.variant, c.kind, c.flagged, c.variant_group, "
      "a.evidence, a.variant_digest FROM attempt a "
      "JOIN chunk c ON c.job = a.job AND c.idx = a.chunk "
      "WHERE a.job = ?1 AND a.acceptance IS NOT NULL AND a.acceptance >= ?2 AND (?3 < 0 OR c.variant = ?3) "
      "AND (?4 = 0 OR c.kind = ?4) ORDER BY a.acceptance"));
  query.Bind(*job, cursor.attempt, filter.variant,
             filter.kind.has_value() ? static_cast<std::int32_t>(*filter.kind) : 0);
  RecordPage page;
  page.next = cursor;
  std::vector<StoredRecord> records;
  while (query.Step()) {
    // The page is full and there is more.
    if (static_cast<std::int32_t>(page.records.size()) >= limit) return page;
    const Accepted attempt = ToAccepted(query);
    records.clear();
    if (absl::Status status = Append(connection, path, *job, attempt, &records); !status.ok()) return status;
    if (!records.empty()) records.front().evidence = attempt.evidence;
    const std::int64_t skip = attempt.acceptance == cursor.attempt ? cursor.record : 0;
    const auto size = static_cast<std::int64_t>(records.size());
    const std::int64_t room = limit - static_cast<std::int64_t>(page.records.size());
    const std::int64_t begin = std::min(skip, size);
    const std::int64_t end = std::min(size, begin + room);
    std::move(records.begin() + begin, records.begin() + end, std::back_inserter(page.records));
    if (end < size) {
      page.next = {attempt.acceptance, end};
      return page;
    }
    page.next = {attempt.acceptance + 1, 0};
  }
  page.at_end = true;
  return page;
}

absl::StatusOr<core::Measurements> ReadMeasurements(Connection* connection, const std::string& path,
                                                    const core::JobId& id) {
  const absl::StatusOr<std::int64_t> job = Seq(connection, id);
  if (!job.ok()) return job.status();
  core::Measurements out;
  ReadFacts(connection, *job, &out);
  ReadMemory(connection, *job, &out);
  ReadConfigurations(connection, *job, &out);
  const std::map<std::int32_t, std::size_t> attempts = ReadAttempts(connection, *job, &out);
  Query query(connection->Prepare(
      "SELECT c.variant, b.figures, b.figures_checksum, c.variant_group, a.session, c.idx, b.sequence FROM chunk c "
      "JOIN attempt a ON a.job = c.job AND a.chunk = c.idx AND a.epoch = c.epoch AND a.outcome = 1 "
      "JOIN batch b ON b.job = c.job AND b.chunk = c.idx AND b.epoch = c.epoch WHERE c.job = ?1 AND c.state = 3"));
  query.Bind(*job);
  std::map<std::string, std::int32_t> processes;  // by session, which is new with every process
  while (query.Step()) {
    const std::string figures = query.Text(1);
    const auto rows = DecodeFigures(figures);
    if (Check(figures) != query.Int(2) || !rows.ok()) {
      return Damaged(path, absl::StrCat("records of jobs/", id, " do not match their checksum"));
    }
    const auto process = processes.emplace(query.Text(4), static_cast<std::int32_t>(processes.size())).first;
    for (const core::RecordRow& row : *rows) AddRow({query.Int32(0), query.Int32(3), process->second}, row, &out);
    AddTo(&out.attempts[attempts.at(query.Int32(5))], *rows, query.Int(6));
  }
  if (absl::Status agreements = ReadAgreements(connection, path, *job, &out); !agreements.ok()) return agreements;
  return out;
}

}  // namespace uaqf::store
