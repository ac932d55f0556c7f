// A chunk: the unit of leasing. One variant, one repeat, a range of places in the job's order of prompts (or of
// windows; item_order.h), in one group of variants.
//
//            lease, epoch + 1                accepted
//   PENDING ------------------> LEASED ------------------> DONE
//      ^                          |  expired, failed,
//      +--------------------------+  tainted (at most twice)
//                                 |  failed too often
//                                 +-------> SPLIT into two new chunks, or QUARANTINED when it is one record
//   PENDING, LEASED -> ABANDONED when its variant failed or its job was cancelled
#pragma once

#include <cstdint>
#include <string>

#include "server/core/types.h"

namespace uaqf::core {

enum class ChunkState : std::int32_t {
  kPending = 1,
  kLeased = 2,
  kDone = 3,
  kQuarantined = 4,
  kSplit = 5,
  kAbandoned = 6,
};

inline bool Open(ChunkState state) { return state == ChunkState::kPending || state == ChunkState::kLeased; }

struct Chunk {
  std::int32_t index = 0;     // place in the plan, from 0; split halves get the next free numbers
  std::int32_t position = 0;  // order of leasing: the index of the planned chunk it is, or came from
  ChunkKind kind = ChunkKind::kTiming;
  ChunkState state = ChunkState::kPending;
  std::int32_t variant = 0;  // into JobSpec::variants
  std::int32_t repeat = 0;
  std::int32_t group = 0;  // of the variants that take turns; the baseline is timed in each
  std::int32_t first = 0;  // a place, not an item
  std::int32_t count = 0;
  std::int32_t summary_k = 0;     // of kSummary: tokens to send; of kDivergence: those of the summaries, 0: exact
  std::int64_t epoch = 0;         // of the latest lease; 0: never leased
  std::int32_t failures = 0;      // attempts that expired or failed; tainted and handed-back ones do not count
  std::int32_t tainted_runs = 0;  // attempts rejected as tainted
  bool flagged = false;           // kept although tainted
};

// Which attempt of which chunk.
struct AttemptId {
  JobId job;
  std::int32_t chunk = 0;
  std::int64_t epoch = 0;

  friend bool operator==(const AttemptId&, const AttemptId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const AttemptId& id) {
    return H::combine(std::move(h), id.job, id.chunk, id.epoch);
  }
};

std::string ToString(const AttemptId& id);  // "jobs/k7f2m9 chunk 12 epoch 3"

// What became of an attempt.
enum class Outcome : std::int32_t {
  kOpen = 0,
  kAccepted = 1,
  kTainted = 2,      // ran, but something outside disturbed it; run again
  kFailed = 3,       // the worker said that it failed, or its records contradicted the lease
  kExpired = 4,      // no sign of life for the whole lease, or the worker process is another one now
  kReturned = 5,     // handed back before it began
  kAbandoned = 6,    // its job or variant ended under it
  kQuarantined = 7,  // the last failure of a chunk of one record: the record was given up
};

}  // namespace uaqf::core
