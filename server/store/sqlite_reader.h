// Reads of the SQLite store, each over one connection and within one read transaction of the caller.
// They may throw what Guard catches.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/store/job_store.h"
#include "server/store/sqlite_connection.h"

namespace uaqf::store {

// sqlite_jobs.cc
MutationResult FindRequest(Connection* connection, const core::RequestKey& request);
absl::StatusOr<core::Snapshot> LoadSnapshot(Connection* connection, const std::string& path);
absl::StatusOr<core::JobView> GetJob(Connection* connection, const core::JobId& id);
JobPage ListJobs(Connection* connection, std::int64_t before, std::int32_t limit);
absl::StatusOr<core::JobDump> Dump(Connection* connection, const core::JobId& id);

// sqlite_records.cc. `path` is for messages.
// The records of one attempt without their blobs, in the order they came.
absl::StatusOr<std::vector<core::RecordRow>> ReadFigures(Connection* connection, const std::string& path,
                                                         std::int64_t job, std::int32_t chunk, std::int64_t epoch);
absl::StatusOr<RecordPage> ReadRecords(Connection* connection, const std::string& path, const core::JobId& id,
                                       const RecordCursor& cursor, const RecordFilter& filter, std::int32_t limit);
absl::StatusOr<core::Measurements> ReadMeasurements(Connection* connection, const std::string& path,
                                                    const core::JobId& id);

// sqlite_summaries.cc. The first writes, within a transaction of the caller.
absl::Status PutSummary(Connection* connection, const SummaryUpload& upload, const std::string& bytes,
                        std::int64_t most_job_bytes);
absl::StatusOr<SummaryInfo> FindSummary(Connection* connection, const SummaryKey& key);
absl::StatusOr<std::string> ReadSummaryPiece(Connection* connection, const std::string& path, const SummaryKey& key,
                                             std::int32_t piece);

// sqlite_imported.cc. Writes, within a transaction of the caller.
MutationResult ImportJob(Connection* connection, const core::ImportJob& import);

// sqlite_prompts.cc. The first two write, within a transaction of the caller.
PromptSetInfo PutPromptSet(Connection* connection, const PromptSetInfo& info, absl::Span<const PromptItem> items);
absl::Status CreateProfile(Connection* connection, const StoredProfile& profile);
absl::StatusOr<PromptSetInfo> GetPromptSet(Connection* connection, const std::string& digest);
PromptSetPage ListPromptSets(Connection* connection, std::int64_t before, std::int32_t limit);
absl::StatusOr<std::vector<PromptItem>> ReadPrompts(Connection* connection, const std::string& digest,
                                                    std::int32_t first, std::int32_t limit);
absl::StatusOr<StoredProfile> GetProfile(Connection* connection, const std::string& name);
std::vector<StoredProfile> ListProfiles(Connection* connection, const std::string& after, std::int32_t limit);

}  // namespace uaqf::store
