// Everything the scheduler needs of the store to begin, or to begin again.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/core/chunk.h"
#include "server/core/progress.h"
#include "server/core/types.h"

namespace uaqf::core {

// An attempt without an outcome: somebody may still work on it.
struct OpenAttempt {
  std::int32_t chunk = 0;
  std::int64_t epoch = 0;
  WorkerId worker;
  std::string session;
  std::string device;
  std::int64_t next_sequence = 0;                              // of the batch expected next
  std::vector<std::int32_t> items;                             // stored so far
  std::vector<std::pair<std::int32_t, std::int32_t>> lengths;  // (item, output tokens) of its generations; failures -1
  Tally sums;                                                  // over those records
  bool loose = false;                                          // TooLoose (divergence.h) of one of them
};

// One job that has not ended.
struct JobSnapshot {
  JobId id;
  JobSpec spec;
  JobState state = JobState::kQueued;
  std::int64_t create_wall_ns = 0;
  std::int64_t start_wall_ns = 0;
  std::string device_kind;  // empty before the first lease
  bool planned = false;
  Survey survey;
  std::vector<VariantStatus> variants;  // one per variant of the spec
  std::vector<Chunk> chunks;            // by index, without gaps
  std::vector<OpenAttempt> attempts;
  // (prompt, natural output tokens) of the baseline's accepted GENERATION records; failures with -1.
  std::vector<std::pair<std::int32_t, std::int32_t>> baseline_lengths;
  std::int32_t prompt_count = 0;
  std::int64_t device_time_ns = 0;  // wall time of the accepted attempts
};

// Oldest job first.
struct Snapshot {
  std::vector<JobSnapshot> jobs;
};

}  // namespace uaqf::core
