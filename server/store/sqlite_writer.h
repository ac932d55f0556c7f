// Applies mutations within an open transaction. Every change of an attempt is an UPDATE that names the epoch: when it
// changes no row, somebody else has the chunk, and that mutation alone is lost.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "server/core/mutation.h"
#include "server/store/job_store.h"
#include "server/store/sqlite_connection.h"

namespace uaqf::store {

class SqliteWriter {
 public:
  explicit SqliteWriter(Connection* connection) : connection_(connection) {}

  // Begins after the transaction does; throws SQLite::Exception.
  void Begin();
  MutationResult Apply(const core::Mutation& mutation);
  // Before the transaction is committed.
  void Finish();
  // The transaction was rolled back.
  void Forget();

 private:
  MutationResult Write(const core::CreateJob& create);
  MutationResult Write(const core::PlanJob& plan);
  MutationResult Write(const core::LeaseChunk& lease);
  MutationResult Write(const core::AppendRecords& append);
  MutationResult Write(const core::CloseAttempt& close);
  MutationResult Write(const core::AddChunks& add);
  MutationResult Write(const core::EndVariant& end);
  MutationResult Write(const core::SaveVariant& save);
  MutationResult Write(const core::SetJobState& set);

  // Row number of a job; -1: no such job.
  std::int64_t Seq(const core::JobId& id);
  bool Active(std::int64_t job);
  void InsertChunk(std::int64_t job, const core::Chunk& chunk);
  void InsertRecord(std::int64_t job, const core::AttemptId& attempt, const core::RecordRow& record);
  void AbandonOpen(std::int64_t job, std::int32_t variant);
  template <typename... Values>
  int Run(const char* sql, const Values&... values) {
    return Query(connection_->Prepare(sql)).Bind(values...).Run();
  }

  Connection* const connection_;
  std::int64_t commit_ = 0;
  std::int64_t acceptance_ = 0;
  absl::flat_hash_map<core::JobId, std::int64_t> seqs_;
};

}  // namespace uaqf::store
