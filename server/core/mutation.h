// What the scheduler wants written. The store applies a list of these in one transaction, in order.
//
// Mutations of an attempt carry its epoch. The store applies one only while the chunk still has that epoch (LeaseChunk:
// the one before it) and its job has not ended; otherwise that mutation alone is lost, and the rest go on.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "server/core/chunk.h"
#include "server/core/progress.h"
#include "server/core/record.h"
#include "server/core/types.h"

namespace uaqf::core {

// Who asked for a job, and with what: makes a repeated request harmless.
struct RequestKey {
  std::string principal;   // caller's identity; empty with --insecure-dev
  std::string request_id;  // chosen by the caller
  std::string digest;      // over the request's content
};

// Never emitted by the scheduler: the loop commits it, then hands the job to Scheduler::AddJob.
struct CreateJob {
  JobId id;
  JobSpec spec;
  std::int32_t prompt_count = 0;  // of the spec's prompt set
  RequestKey request;
  std::int64_t wall_ns = 0;
};

// No mutation of the scheduler's: published figures, which are a job that has ended as soon as it is there.
struct ImportJob {
  JobId id;
  ImportedTable table;
  RequestKey request;
  std::int64_t wall_ns = 0;
};

// The survey came in: the plan, written once.
struct PlanJob {
  JobId job;
  Survey survey;
  std::vector<Chunk> chunks;
};

// PENDING -> LEASED; the chunk's epoch becomes `attempt.epoch`, which must be the stored one plus 1.
struct LeaseChunk {
  AttemptId attempt;
  WorkerId worker;
  std::string session;
  std::string device;  // id of the device whose turn it takes
};

struct AppendRecords {
  AttemptId attempt;
  std::int64_t sequence = 0;
  std::vector<RecordRow> records;
};

// LEASED -> `next`; the attempt gets its outcome. kDone goes with kAccepted, kQuarantined with kQuarantined.
struct CloseAttempt {
  AttemptId attempt;
  Outcome outcome = Outcome::kAccepted;
  ChunkState next = ChunkState::kDone;
  std::int32_t failures = 0;  // new values of the chunk
  std::int32_t tainted_runs = 0;
  bool flagged = false;
  Evidence evidence;      // of kAccepted and kTainted
  std::string error;      // of the others. With kQuarantined it becomes the failure of the chunk's one record
  std::int32_t item = 0;  // of kQuarantined: the item of that record
};

// The two halves of a chunk that CloseAttempt set to kSplit, or what a loose comparison that it accepted asks for.
struct AddChunks {
  JobId job;
  std::vector<Chunk> chunks;
};

// Sets every open chunk of a variant to ABANDONED, and its open attempts with it; the variant to kFailed or kStopped.
struct EndVariant {
  JobId job;
  std::int32_t variant = 0;
  VariantState state = VariantState::kFailed;
  std::string reason;
};

// Absolute values, so that writing one twice does no harm.
struct SaveVariant {
  JobId job;
  std::int32_t variant = 0;
  VariantStatus status;
};

// kRunning sets the start time. The three ends set the end time and abandon what is open: nothing is stored after.
struct SetJobState {
  JobId job;
  JobState state = JobState::kRunning;
  std::int64_t wall_ns = 0;
  std::string error;
  std::string device_kind;  // of kRunning: the kind of device that the whole job is measured on
};

using Mutation = std::variant<CreateJob, PlanJob, LeaseChunk, AppendRecords, CloseAttempt, AddChunks, EndVariant,
                              SaveVariant, SetJobState>;

}  // namespace uaqf::core
