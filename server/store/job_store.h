// The durable state of the coordinator. State is only here: what the scheduler holds is rebuilt from it.
//
// Small interfaces over one database. Every method may be called from any thread; writes take turns, reads see a
// consistent state and do not wait for writes. Names are bare, as in server/core/types.h.
//
// Errors of every method: ResourceExhausted (disk full: nothing was half written; free space and go on), Unavailable
// (the database cannot be read or written now), DataLoss (it is damaged; names the file). After a failed write nothing
// of it is in the store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/core/invariants.h"
#include "server/core/measurements.h"
#include "server/core/mutation.h"
#include "server/core/snapshot.h"

namespace uaqf::store {

// What became of one mutation.
enum class Applied {
  kYes,
  kLost,           // the epoch was not the chunk's, the sequence was not the next, or the job has ended; wrote nothing
  kExists,         // CreateJob: the same request made `existing` before; wrote nothing
  kRequestReused,  // CreateJob: the request id came before with other content; wrote nothing
  kIdTaken,        // CreateJob: another job has this id; draw another. Wrote nothing
};

struct MutationResult {
  Applied applied = Applied::kYes;
  core::JobId existing;  // for kExists
};

// One accepted record with its place.
struct StoredRecord {
  std::int32_t variant = 0;  // into the spec's variants
  std::int32_t chunk = 0;
  std::int64_t epoch = 0;
  core::ChunkKind kind = core::ChunkKind::kTiming;
  core::WorkerId worker;
  bool tainted = false;
  std::int32_t group = 0;
  std::int32_t item = 0;
  std::int32_t repeat = 0;
  std::string failure;  // of a record that the coordinator gave up: then `blob` is empty
  std::string blob;     // the serialized uaqf.v1.Record as it came
  // The serialized uaqf.v1.ChunkEvidence, in the first record of an accepted attempt; else empty.
  std::string evidence;
  std::string variant_digest;  // of its configuration; empty for a record that was given up
};

// A place in the accepted records of a job: attempts in the order of their acceptance, records as they were made.
// Records accepted later come after every cursor given before. {0, 0} is the beginning.
struct RecordCursor {
  std::int64_t attempt = 0;  // acceptance number within the store; records of smaller ones were read
  std::int64_t record = 0;   // records of this attempt already read
};

struct RecordFilter {
  std::int32_t variant = -1;  // -1: all
  std::optional<core::ChunkKind> kind;
};

struct RecordPage {
  std::vector<StoredRecord> records;
  RecordCursor next;
  bool at_end = false;  // nothing accepted after these, as of this read
};

struct JobPage {
  std::vector<core::JobView> jobs;  // newest first
  std::int64_t next = 0;            // 0: that was the last page
};

class JobStore {
 public:
  virtual ~JobStore() = default;

  // Applies all in one durable transaction, in order. One result per mutation. An error means that none was applied.
  [[nodiscard]] virtual absl::StatusOr<std::vector<MutationResult>> Commit(
      absl::Span<const core::Mutation> mutations) = 0;
  // What CreateJob with this request would find, without writing: kYes (not seen before), kExists or kRequestReused.
  // A repeated request must find its job even where the spec could not be accepted any more (its worker is gone).
  [[nodiscard]] virtual absl::StatusOr<MutationResult> FindRequest(const core::RequestKey& request) = 0;
  // Every job that has not ended, for Scheduler::Restore.
  [[nodiscard]] virtual absl::StatusOr<core::Snapshot> LoadSnapshot() = 0;

  // NotFound: no such job. The progress has neither rate nor current chunk.
  [[nodiscard]] virtual absl::StatusOr<core::JobView> GetJob(const core::JobId& id) = 0;
  // `before`: 0 for the newest, else `next` of the page before.
  [[nodiscard]] virtual absl::StatusOr<JobPage> ListJobs(std::int64_t before, std::int32_t limit) = 0;
  // At most `limit` records from `cursor`. NotFound: no such job.
  [[nodiscard]] virtual absl::StatusOr<RecordPage> ReadRecords(const core::JobId& id, const RecordCursor& cursor,
                                                               const RecordFilter& filter, std::int32_t limit) = 0;
  // Accepted records as columns. NotFound: no such job.
  [[nodiscard]] virtual absl::StatusOr<core::Measurements> ReadMeasurements(const core::JobId& id) = 0;
  // Everything CheckInvariants wants to see. NotFound: no such job.
  [[nodiscard]] virtual absl::StatusOr<core::JobDump> Dump(const core::JobId& id) = 0;
};

// As PromptSetKind.
enum class PromptSetKind : std::int32_t { kPrompts = 1, kText = 2 };

struct CategoryCount {
  std::string category;
  std::int32_t prompt_count = 0;

  friend bool operator==(const CategoryCount&, const CategoryCount&) = default;
};

struct PromptSetInfo {
  std::string digest;
  std::string display_name;
  PromptSetKind kind = PromptSetKind::kPrompts;
  std::int32_t prompt_count = 0;
  std::int64_t size_bytes = 0;
  std::int64_t create_wall_ns = 0;
  std::vector<CategoryCount> categories;  // sorted by name
  std::string sources;                    // a serialized uaqf.v1.PromptSetHeader with `sources` only
};

struct PromptItem {
  std::string id;
  std::string category;
  std::string blob;  // the serialized uaqf.v1.Prompt
};

struct PromptSetPage {
  std::vector<PromptSetInfo> sets;  // newest first
  std::int64_t next = 0;            // 0: that was the last page
};

class PromptStore {
 public:
  virtual ~PromptStore() = default;

  // Stores a set under `info.digest`, which the caller computed over kind and items. When it is there already, gives
  // back what was stored first and writes nothing. Counts and size are taken from the items, not from `info`.
  [[nodiscard]] virtual absl::StatusOr<PromptSetInfo> PutPromptSet(const PromptSetInfo& info,
                                                                   absl::Span<const PromptItem> items) = 0;
  // NotFound: no such set.
  [[nodiscard]] virtual absl::StatusOr<PromptSetInfo> GetPromptSet(const std::string& digest) = 0;
  [[nodiscard]] virtual absl::StatusOr<PromptSetPage> ListPromptSets(std::int64_t before, std::int32_t limit) = 0;
  // Items [first, first + limit) in order; fewer at the end. NotFound: no such set.
  [[nodiscard]] virtual absl::StatusOr<std::vector<PromptItem>> ReadPrompts(const std::string& digest,
                                                                            std::int32_t first, std::int32_t limit) = 0;
};

// A stored profile; its content is the caller's business.
struct StoredProfile {
  std::string name;
  std::string blob;  // the serialized uaqf.v1.Profile
};

class ProfileStore {
 public:
  virtual ~ProfileStore() = default;

  // AlreadyExists: the name is taken.
  [[nodiscard]] virtual absl::Status CreateProfile(const StoredProfile& profile) = 0;
  // NotFound: no such profile.
  [[nodiscard]] virtual absl::StatusOr<StoredProfile> GetProfile(const std::string& name) = 0;
  // By name, those after `after`.
  [[nodiscard]] virtual absl::StatusOr<std::vector<StoredProfile>> ListProfiles(const std::string& after,
                                                                                std::int32_t limit) = 0;
  // NotFound: no such profile.
  [[nodiscard]] virtual absl::Status DeleteProfile(const std::string& name) = 0;
};

// FP16's summary of one window (divergence.h of server/core).
struct SummaryKey {
  core::JobId job;
  std::int32_t window = 0;
  std::int32_t summary_k = 0;
};

struct SummaryInfo {
  std::int64_t bytes = 0;
  std::int32_t pieces = 0;
  std::string digest;  // SHA-256 of the bytes
};

// Who hands over which summary.
struct SummaryUpload {
  core::AttemptId attempt;
  core::WorkerId worker;
  std::int32_t window = 0;
  std::int32_t summary_k = 0;
  std::string digest;
};

// Bytes that only workers read, kept while their job runs: they go in the commit that ends it.
class SummaryStore {
 public:
  virtual ~SummaryStore() = default;

  // Stores the summary in one durable transaction, in place of what is there. Aborted: the chunk is no summary with
  // that k and window, or is not leased to that worker under that epoch, or its job has ended. ResourceExhausted,
  // besides a full disk: the summaries of the job would take more than `most_job_bytes`.
  [[nodiscard]] virtual absl::Status PutSummary(const SummaryUpload& upload, const std::string& bytes,
                                                std::int64_t most_job_bytes) = 0;
  // NotFound: no such summary.
  [[nodiscard]] virtual absl::StatusOr<SummaryInfo> FindSummary(const SummaryKey& key) = 0;
  // One of the pieces [0, SummaryInfo::pieces), each well under 1 MiB. NotFound: it is gone.
  [[nodiscard]] virtual absl::StatusOr<std::string> ReadSummaryPiece(const SummaryKey& key, std::int32_t piece) = 0;
};

// Jobs that were measured elsewhere. JobStore gives them back as JobView::imported.
class ImportStore {
 public:
  virtual ~ImportStore() = default;

  // Durable when it returns; kExists, kRequestReused and kIdTaken as for CreateJob.
  [[nodiscard]] virtual absl::StatusOr<MutationResult> ImportJob(const core::ImportJob& import) = 0;
};

// All of them over one database.
class Store : public JobStore, public PromptStore, public ProfileStore, public SummaryStore, public ImportStore {};

}  // namespace uaqf::store
