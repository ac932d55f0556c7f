// The invariants of exactly-once recording, checked on a dump of the store. Run after every fault test, and by the
// property test after every step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/core/chunk.h"
#include "server/core/progress.h"
#include "server/core/record.h"
#include "server/core/types.h"

namespace uaqf::core {

struct RecordKey {
  std::int32_t item = 0;
  std::int32_t repeat = 0;
  bool failure = false;
};

// One attempt with what was stored under it. Commit numbers grow with every transaction of the store.
struct AttemptDump {
  std::int32_t chunk = 0;
  std::int64_t epoch = 0;
  Outcome outcome = Outcome::kOpen;
  std::int64_t lease_commit = 0;
  std::int64_t last_commit = 0;  // of its latest batch or its end
  std::vector<RecordKey> records;
};

struct JobDump {
  JobId id;
  JobSpec spec;
  std::int32_t prompt_count = 0;
  Survey survey;
  JobState state = JobState::kQueued;
  bool planned = false;
  std::int64_t end_commit = 0;  // 0: not ended
  std::vector<VariantStatus> variants;
  std::vector<Chunk> chunks;
  std::vector<AttemptDump> attempts;
};

// One line per violation, beginning with the invariant's number; empty when all hold.
//  I1 in a job that succeeded every planned (kind, variant, k, repeat, item) of a variant that did not fail ends in
//     exactly one terminal record; chunks that are open, in any state, never share an item with another. What is
//     bounded from a summary has one planned.
//  I2 no two accepted records share (kind, variant, k, repeat, item); a chunk has at most one accepted attempt. Nothing
//     is bounded from a summary that is still open.
//  I3 an accepted attempt has the epoch of its chunk.
//  I4 epochs of a chunk are 1, 2, ... without repetition, in the order of their commits.
//  I5 at most one open attempt per chunk, it has the chunk's epoch, and the chunk is LEASED exactly then.
//  I6 the counters of each variant equal a recount of rows.
//  I7 a job that ended has no row committed after its end.
std::vector<std::string> CheckInvariants(const JobDump& job);

}  // namespace uaqf::core
