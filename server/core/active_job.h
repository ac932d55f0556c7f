// One job that has not ended, as the scheduler holds it: its chunks, the queues over them, and its sums.
//
// Knows nothing of workers and leases beyond their names. Every operation costs at most the logarithm of the number of
// chunks, so a job of a million records costs no more per event than a small one.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "server/core/chunk.h"
#include "server/core/progress.h"
#include "server/core/snapshot.h"
#include "server/core/types.h"

namespace uaqf::core {

// Natural output tokens of a prompt under the baseline, before they are known, and when they cannot be known.
inline constexpr std::int32_t kLengthUnknown = -2;
inline constexpr std::int32_t kLengthFailed = -1;

class ActiveJob {
 public:
  // Pending chunks of one variant, ordered by (position, index). `retry` holds those that failed somewhere, which not
  // every worker may take.
  struct Queue {
    absl::btree_set<std::pair<std::int32_t, std::int32_t>> fresh;
    absl::btree_set<std::pair<std::int32_t, std::int32_t>> retry;
  };

  ActiveJob(JobId id, JobSpec spec, std::int32_t prompt_count, std::int64_t create_wall_ns);
  explicit ActiveJob(JobSnapshot snapshot);

  // Takes the plan of a job that had none, made from its `survey`.
  void SetPlan(std::vector<Chunk> plan);

  // PENDING -> LEASED. Returns the new epoch.
  std::int64_t Lease(std::int32_t chunk);
  // LEASED -> PENDING.
  void Release(std::int32_t chunk);
  // LEASED -> DONE, QUARANTINED or ABANDONED.
  void Finish(std::int32_t chunk, ChunkState state);
  // LEASED -> SPLIT. Returns the halves: one attempt each, failed by the same workers.
  std::vector<Chunk> Split(std::int32_t chunk);
  // Natural lengths of the baseline; may free gated TIMING chunks of other variants.
  void SetBaselineLength(std::int32_t prompt, std::int32_t tokens);
  // PENDING chunks of the variant -> ABANDONED. The caller ends the leased ones itself.
  void AbandonPending(std::int32_t variant);
  void NoteFailure(std::int32_t chunk, const WorkerId& worker);

  // Index of a variant name, -1 when the job does not have it.
  std::int32_t VariantIndex(const std::string& name) const;
  const std::vector<WorkerId>& FailedOn(std::int32_t chunk) const;
  // Tokens to emit for each item of a TIMING chunk; empty: natural.
  std::vector<std::int32_t> OutputTokens(const Chunk& chunk) const;
  // Some block waits for the natural lengths of the baseline.
  bool WaitsForBaseline() const { return blocks_missing_ > 0; }
  // Chunks that are neither done, quarantined, split nor abandoned.
  std::int64_t open_chunks() const { return open_chunks_; }
  std::int64_t open_chunks(std::int32_t variant) const { return open_per_variant_[variant]; }
  std::int64_t leased_chunks() const { return leased_chunks_; }

  const JobId id;
  const JobSpec spec;
  const std::int32_t prompt_count;
  const std::int64_t create_wall_ns;

  JobState state = JobState::kQueued;
  std::int64_t start_wall_ns = 0;
  std::string device_kind;
  std::string error;
  bool planned = false;
  Survey survey;
  WorkerId survey_worker;  // who was asked for it; empty: nobody yet
  std::vector<Chunk> chunks;
  std::vector<Queue> queues;            // one per variant
  std::vector<VariantStatus> variants;  // one per variant
  std::vector<std::set<WorkerId>> load_failures;
  std::vector<std::string> load_errors;
  std::set<std::int32_t> dirty;  // variants whose status is to be saved
  RateMeter meter;

 private:
  void Index();
  void Enqueue(const Chunk& chunk);
  bool Gated(const Chunk& chunk) const;
  std::int32_t BlockOf(const Chunk& chunk) const { return chunk.first / spec.timing.block_prompts; }

  std::int32_t baseline_ = -1;  // its index when MATCHED timing depends on it, else -1
  std::vector<std::int32_t> lengths_;
  std::vector<std::int32_t> missing_;               // by block: prompts whose length is not known
  std::vector<std::vector<std::int32_t>> waiting_;  // by block: TIMING chunks to free
  std::int32_t blocks_missing_ = 0;
  std::int64_t open_chunks_ = 0;
  std::int64_t leased_chunks_ = 0;
  std::vector<std::int64_t> open_per_variant_;
  absl::flat_hash_map<std::int32_t, std::vector<WorkerId>> failed_on_;
};

}  // namespace uaqf::core
