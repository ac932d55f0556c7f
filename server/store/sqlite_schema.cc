#include "server/store/sqlite_schema.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "server/store/sqlite_store.h"

namespace uaqf::store {
namespace {

constexpr const char* kMigrations[] = {
    // 1: the first schema. Enums are the numbers of server/core.
    R"sql(
CREATE TABLE counter(commits INTEGER NOT NULL, acceptances INTEGER NOT NULL);
INSERT INTO counter VALUES(0, 0);

CREATE TABLE prompt_set(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  digest TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  kind INTEGER NOT NULL,
  prompt_count INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  create_wall_ns INTEGER NOT NULL,
  categories TEXT NOT NULL);
CREATE TABLE prompt(
  prompt_set INTEGER NOT NULL,
  item INTEGER NOT NULL,
  id TEXT NOT NULL,
  category TEXT NOT NULL,
  body BLOB NOT NULL,
  UNIQUE(prompt_set, item));

CREATE TABLE job(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  request_id TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  spec TEXT NOT NULL,
  prompt_count INTEGER NOT NULL,
  state INTEGER NOT NULL,
  create_wall_ns INTEGER NOT NULL,
  start_wall_ns INTEGER NOT NULL DEFAULT 0,
  end_wall_ns INTEGER NOT NULL DEFAULT 0,
  end_commit INTEGER NOT NULL DEFAULT 0,
  device_kind TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  planned INTEGER NOT NULL DEFAULT 0,
  longest_input_tokens INTEGER NOT NULL DEFAULT 0,
  text_tokens INTEGER NOT NULL DEFAULT 0,
  text_windows INTEGER NOT NULL DEFAULT 0,
  UNIQUE(principal, request_id));
CREATE INDEX job_active ON job(seq) WHERE state < 3;

CREATE TABLE variant(
  job INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  state INTEGER NOT NULL,
  error TEXT NOT NULL,
  records_done INTEGER NOT NULL,
  records_total INTEGER NOT NULL,
  records_quarantined INTEGER NOT NULL,
  chunks_done INTEGER NOT NULL,
  chunks_total INTEGER NOT NULL,
  attempts_tainted INTEGER NOT NULL,
  attempts_rerun INTEGER NOT NULL,
  timing_records INTEGER NOT NULL,
  latency_sum_s REAL,
  rate_sum REAL,
  scored_tokens INTEGER NOT NULL,
  nll_sum REAL,
  PRIMARY KEY(job, idx)) WITHOUT ROWID;

CREATE TABLE chunk(
  job INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  position INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  state INTEGER NOT NULL,
  variant INTEGER NOT NULL,
  repeat INTEGER NOT NULL,
  first INTEGER NOT NULL,
  count INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  tainted_runs INTEGER NOT NULL,
  flagged INTEGER NOT NULL,
  PRIMARY KEY(job, idx)) WITHOUT ROWID;

CREATE TABLE attempt(
  job INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  worker TEXT NOT NULL,
  session TEXT NOT NULL,
  device TEXT NOT NULL,
  outcome INTEGER NOT NULL,
  next_sequence INTEGER NOT NULL,
  lease_commit INTEGER NOT NULL,
  last_commit INTEGER NOT NULL,
  acceptance INTEGER,
  weights_bytes INTEGER NOT NULL DEFAULT 0,
  block_weights_bytes INTEGER NOT NULL DEFAULT 0,
  kv_cache_bytes INTEGER NOT NULL DEFAULT 0,
  workspace_bytes INTEGER NOT NULL DEFAULT 0,
  measured_peak_bytes INTEGER NOT NULL DEFAULT 0,
  taints TEXT NOT NULL DEFAULT '',
  evidence BLOB,
  error TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(job, chunk, epoch)) WITHOUT ROWID;
CREATE UNIQUE INDEX attempt_terminal ON attempt(job, chunk) WHERE outcome IN (1, 7);
CREATE UNIQUE INDEX attempt_acceptance ON attempt(job, acceptance) WHERE acceptance IS NOT NULL;
CREATE UNIQUE INDEX attempt_open ON attempt(job, chunk) WHERE outcome = 0;

CREATE TABLE record(
  job INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  item INTEGER NOT NULL,
  repeat INTEGER NOT NULL,
  failure INTEGER NOT NULL,
  PRIMARY KEY(job, chunk, epoch, item, repeat)) WITHOUT ROWID;

CREATE TABLE batch(
  job INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  record_count INTEGER NOT NULL,
  figures_checksum INTEGER NOT NULL,
  figures BLOB NOT NULL,
  body_checksum INTEGER NOT NULL,
  body BLOB NOT NULL,
  UNIQUE(job, chunk, epoch, sequence));

CREATE TABLE quarantine(
  job INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  item INTEGER NOT NULL,
  repeat INTEGER NOT NULL,
  failure TEXT NOT NULL,
  PRIMARY KEY(job, chunk)) WITHOUT ROWID;

CREATE TABLE profile(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
)sql",
    // 2: what a model's weights were before they came to us, with the job that measured them.
    "ALTER TABLE job ADD COLUMN release_format TEXT NOT NULL DEFAULT ''",
    // 3: the group of variants that a chunk is measured in.
    "ALTER TABLE chunk ADD COLUMN variant_group INTEGER NOT NULL DEFAULT 0",
    // 4: where the items of a set came from.
    "ALTER TABLE prompt_set ADD COLUMN sources BLOB NOT NULL DEFAULT x''",
    // 5: what the survey found of the tasks.
    R"sql(
ALTER TABLE job ADD COLUMN task_items INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN longest_task_tokens INTEGER NOT NULL DEFAULT 0;
)sql",
    // 6: what a variant is in full: a long text, so once for all attempts under it, which have its digest.
    R"sql(
ALTER TABLE attempt ADD COLUMN variant_digest TEXT NOT NULL DEFAULT '';
CREATE TABLE configuration(
  job INTEGER NOT NULL,
  variant INTEGER NOT NULL,
  digest TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY(job, variant, digest)) WITHOUT ROWID;
)sql",
    // 7: what the survey found of the articles.
    "ALTER TABLE job ADD COLUMN articles INTEGER NOT NULL DEFAULT 0",
    // 8: summaries of FP16's distributions, in pieces that are read one by one.
    R"sql(
ALTER TABLE chunk ADD COLUMN summary_k INTEGER NOT NULL DEFAULT 0;
CREATE TABLE summary(
  job INTEGER NOT NULL,
  summary_k INTEGER NOT NULL,
  window INTEGER NOT NULL,
  size INTEGER NOT NULL,
  pieces INTEGER NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY(job, summary_k, window)) WITHOUT ROWID;
CREATE TABLE summary_piece(
  job INTEGER NOT NULL,
  summary_k INTEGER NOT NULL,
  window INTEGER NOT NULL,
  piece INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  body BLOB NOT NULL,
  UNIQUE(job, summary_k, window, piece));
)sql",
    // 9: nothing.
    "",
    // 10: published figures, which are a job without records.
    "ALTER TABLE job ADD COLUMN imported TEXT NOT NULL DEFAULT ''",
    // 11: how long an attempt took; 0 of those before.
    "ALTER TABLE attempt ADD COLUMN wall_ns INTEGER NOT NULL DEFAULT 0",
    // 12: how large the model is; 0 for jobs that were surveyed before.
    "ALTER TABLE job ADD COLUMN parameters INTEGER NOT NULL DEFAULT 0",
};

constexpr int kVersion = static_cast<int>(std::size(kMigrations));

absl::Status QuickCheck(Connection* connection, const std::string& path) {
  SQLite::Statement check(connection->database(), "PRAGMA quick_check(1)");
  if (!check.executeStep()) return Damaged(path, "quick_check gave no answer");
  const std::string answer = check.getColumn(0).getString();
  return answer == "ok" ? absl::OkStatus() : Damaged(path, answer);
}

}  // namespace

int SqliteSchemaVersion() { return kVersion; }

absl::Status CheckAndMigrate(Connection* connection, const std::string& path) {
  SQLite::Database& database = connection->database();
  if (absl::Status status = QuickCheck(connection, path); !status.ok()) return status;
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  const bool empty = database.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  if (!empty && !database.tableExists("schema_version")) {
    return Damaged(path, "it is a database of something else: no table schema_version");
  }
  database.exec("CREATE TABLE IF NOT EXISTS schema_version(version INTEGER NOT NULL)");
  int version = 0;
  if (empty) {
    database.exec("INSERT INTO schema_version VALUES(0)");
  } else {
    version = database.execAndGet("SELECT max(version) FROM schema_version").getInt();
  }
  if (version > kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("the store ", path, " has schema version ", version,
                                                      ", this program knows up to ", kVersion,
                                                      ": start the program that wrote it, or a newer one"));
  }
  if (version == kVersion) return absl::OkStatus();
  for (int next = version; next < kVersion; ++next) database.exec(kMigrations[next]);
  database.exec(absl::StrCat("UPDATE schema_version SET version = ", kVersion));
  transaction.commit();
  return absl::OkStatus();
}

}  // namespace uaqf::store
