#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/item_order.h"
#include "server/core/plan.h"
#include "server/store/record_codec.h"
#include "server/store/spec_json.h"
#include "server/store/sqlite_reader.h"

namespace uaqf::store {
namespace {

// Small enough that a reader holds little, large enough that a window is few rows.
constexpr std::size_t kPieceBytes = 512 << 10;

// Where the attempt may put that summary, the job's number.
absl::StatusOr<std::int64_t> Holder(Connection* connection, const SummaryUpload& upload) {
  const core::AttemptId& attempt = upload.attempt;
  Query query(connection->Prepare(
      "SELECT j.seq, j.spec, j.text_windows, c.first, c.count FROM job j JOIN chunk c ON c.job = j.seq JOIN attempt a "
      "ON a.job = c.job AND a.chunk = c.idx "
      "AND a.epoch = c.epoch WHERE j.id = ?1 AND j.state < 3 AND c.idx = ?2 AND c.epoch = ?3 AND c.state = 2 "
      "AND a.outcome = 0 AND a.worker = ?4 AND c.kind = ?5 AND c.summary_k = ?6"));
  query.Bind(attempt.job, attempt.chunk, attempt.epoch, upload.worker,
             static_cast<std::int32_t>(core::ChunkKind::kSummary), upload.summary_k);
  if (query.Step()) {
    const core::JobSpec spec = SpecFromJson(query.Text(1));
    core::Survey survey;
    survey.text_windows = query.Int32(2);
    const core::ItemOrder order(spec, {.windows = core::WindowCount(spec, survey)});
    const std::int32_t behind = order.PlaceOf(core::ChunkKind::kSummary, upload.window) - query.Int32(3);
    if (behind >= 0 && behind < query.Int32(4)) return query.Int(0);
  }
  return absl::AbortedError(absl::StrCat(core::ToString(attempt), " is no summary with k ", upload.summary_k,
                                         " of window ", upload.window, " that workers/", upload.worker, " holds now"));
}

}  // namespace

absl::Status PutSummary(Connection* connection, const SummaryUpload& upload, const std::string& bytes,
                        std::int64_t most_job_bytes) {
  const absl::StatusOr<std::int64_t> job = Holder(connection, upload);
  if (!job.ok()) return job.status();
  Query(connection->Prepare("DELETE FROM summary_piece WHERE job = ?1 AND summary_k = ?2 AND window = ?3"))
      .Bind(*job, upload.summary_k, upload.window)
      .Run();
  Query(connection->Prepare("DELETE FROM summary WHERE job = ?1 AND summary_k = ?2 AND window = ?3"))
      .Bind(*job, upload.summary_k, upload.window)
      .Run();
  const auto size = static_cast<std::int64_t>(bytes.size());
  {
    Query query(connection->Prepare("SELECT coalesce(sum(size), 0) FROM summary WHERE job = ?1"));
    query.Bind(*job).Step();
    if (query.Int(0) + size > most_job_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the summaries of jobs/", upload.attempt.job, " would take ", query.Int(0) + size,
                       " bytes, expected at most ", most_job_bytes,
                       ": score fewer windows (quality.max_windows), or compare exactly where FP16 and the variant fit "
                       "on a device together"));
    }
  }
  std::int32_t pieces = 0;
  for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    const std::string piece = bytes.substr(at, kPieceBytes);
    Query(connection->Prepare("INSERT INTO summary_piece VALUES(?1, ?2, ?3, ?4, ?5, ?6)"))
        .Bind(*job, upload.summary_k, upload.window, pieces++, Check(piece), Blob{piece})
        .Run();
  }
  Query(connection->Prepare("INSERT INTO summary VALUES(?1, ?2, ?3, ?4, ?5, ?6)"))
      .Bind(*job, upload.summary_k, upload.window, size, pieces, Blob{upload.digest})
      .Run();
  return absl::OkStatus();
}

absl::StatusOr<SummaryInfo> FindSummary(Connection* connection, const SummaryKey& key) {
  Query query(
      connection->Prepare("SELECT s.size, s.pieces, s.digest FROM job j JOIN summary s ON s.job = j.seq "
                          "WHERE j.id = ?1 AND s.summary_k = ?2 AND s.window = ?3"));
  if (!query.Bind(key.job, key.summary_k, key.window).Step()) {
    return absl::NotFoundError(absl::StrCat("jobs/", key.job, " has no summary with k ", key.summary_k, " of window ",
                                            key.window,
                                            ": FP16 could not make it (its records say why), or the job has ended"));
  }
  return SummaryInfo{query.Int(0), query.Int32(1), query.Text(2)};
}

absl::StatusOr<std::string> ReadSummaryPiece(Connection* connection, const std::string& path, const SummaryKey& key,
                                             std::int32_t piece) {
  Query query(
      connection->Prepare("SELECT p.body, p.checksum FROM job j JOIN summary_piece p ON p.job = j.seq "
                          "WHERE j.id = ?1 AND p.summary_k = ?2 AND p.window = ?3 AND p.piece = ?4"));
  if (!query.Bind(key.job, key.summary_k, key.window, piece).Step()) {
    return absl::NotFoundError(absl::StrCat("jobs/", key.job, " ended while its summary was read"));
  }
  std::string body = query.Text(0);
  if (Check(body) != query.Int(1)) {
    return Damaged(path, absl::StrCat("the summary of window ", key.window, " does not match its checksum"));
  }
  return body;
}

}  // namespace uaqf::store
