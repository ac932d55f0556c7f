// One job that has not ended, as the scheduler holds it: its chunks, the queues over them, and its sums.
//
// Knows nothing of workers and leases beyond their names. Every operation costs at most the logarithm of the number of
// chunks, so a job of a million records costs no more per event than a small one.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "server/core/chunk.h"
#include "server/core/item_order.h"
#include "server/core/progress.h"
#include "server/core/rounds.h"
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
  // A bounded comparison that was too loose: plans it again with the next k, and FP16's summary for it unless that was
  // planned before. Empty when there is no greater k, or its summary can no longer be had. Returns what was added, in
  // the order of their indices.
  std::vector<Chunk> Grow(std::int32_t chunk);
  // Natural lengths of the baseline; may free gated TIMING chunks of other variants.
  void SetBaselineLength(std::int32_t prompt, std::int32_t tokens);
  // PENDING chunks of the variant -> ABANDONED. The caller ends the leased ones itself.
  void AbandonPending(std::int32_t variant);
  void NoteFailure(std::int32_t chunk, const WorkerId& worker);

  // Index of a variant name, -1 when the job does not have it.
  std::int32_t VariantIndex(const std::string& name) const;
  // Of the baseline its twin's index, and the other way round; -1 for others, and where the job has no twin.
  std::int32_t TwinOf(std::int32_t variant) const;
  const std::vector<WorkerId>& FailedOn(std::int32_t chunk) const;
  // Tokens to emit for each item of a TIMING chunk; empty: natural.
  std::vector<std::int32_t> OutputTokens(const Chunk& chunk) const;
  // Some block waits for the natural lengths of the baseline.
  bool WaitsForBaseline() const { return blocks_missing_ > 0; }
  // A comparison waits for a summary of the baseline.
  bool WaitsForSummaries() const { return summaries_missing_ > 0; }
  // Rounds that all variants have behind them, from the first; see plan.h. Never goes back: a chunk that is added to a
  // round later does not open it again.
  std::int32_t RoundsDone();
  const Rounds& rounds() const { return rounds_; }
  // Chunks of a variant that are open in a turn (rounds.h), and the turn of a chunk. A plan that does not go turn by
  // turn is one turn: those of several groups that were stored before there were any.
  std::int32_t turns() const { return static_cast<std::int32_t>(open_per_turn_.size()); }
  std::int64_t open_chunks(std::int32_t variant, std::int32_t turn) const { return open_per_turn_[turn][variant]; }
  std::int32_t TurnOf(const Chunk& chunk) const { return turns() > 1 ? rounds_.TurnOf(chunk) : 0; }
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
  ItemOrder order;         // once it is planned
  WorkerId survey_worker;  // who was asked for it; empty: nobody yet
  std::vector<Chunk> chunks;
  std::vector<Queue> queues;            // one per variant
  std::vector<VariantStatus> variants;  // one per variant
  std::vector<std::set<WorkerId>> load_failures;
  std::vector<std::string> load_errors;
  // Sessions of the worker processes that timed each variant, as far as this coordinator saw it.
  std::vector<std::set<std::string>> timed_by;
  std::int32_t rounds_seen = 0;  // that the owner was told of
  // Chunks of later turns wait, so that variants take turns where not all are hosted at once.
  static constexpr std::int32_t kNoTurnLimit = std::numeric_limits<std::int32_t>::max();
  std::int32_t turn_limit = kNoTurnLimit;
  // Since the limit was set: time that accepted attempts and loads took.
  std::int64_t turn_work_ns = 0;
  std::int64_t turn_load_ns = 0;
  std::int32_t turn_rounds = 0;     // of each group, that the limit opened
  std::int64_t device_time_ns = 0;  // of accepted attempts
  std::set<std::int32_t> dirty;     // variants whose status is to be saved
  RateMeter meter;

 private:
  // Places that must be done before others may be leased: prompts of a block the baseline generates for, or windows of
  // a block it summarizes.
  struct Gate {
    std::int32_t missing = 0;
    std::vector<std::int32_t> waiting;  // chunks to free
    bool given_up = false;              // of some item: what waited for it fails
  };
  using SummaryKey = std::pair<std::int32_t, std::int32_t>;  // k, block of windows

  void Index();
  void IndexRounds();
  void IndexSummary(const Chunk& chunk);
  // Numbers a chunk that was not planned, and takes it into the queues.
  Chunk Append(Chunk chunk);
  void Enqueue(const Chunk& chunk);
  // Null when nothing holds the chunk back.
  Gate* GateOf(const Chunk& chunk);
  // So many of its places are open no more; behind the last, what waited is free.
  void Pass(Gate* gate, std::int32_t items);
  // The chunk is open, and is no more.
  void CountOpen(const Chunk& chunk, int by);
  void Close(const Chunk& chunk);
  std::int32_t BlockOf(const Chunk& chunk) const { return chunk.first / spec.timing.block_prompts; }
  static SummaryKey KeyOf(const Chunk& chunk);

  std::int32_t baseline_ = -1;  // its index when MATCHED timing depends on it, else -1
  std::vector<std::int32_t> lengths_;
  std::vector<Gate> length_gates_;                   // by block of prompts
  absl::btree_map<SummaryKey, Gate> summary_gates_;  // of all summaries that were ever planned
  std::int32_t blocks_missing_ = 0;
  std::int32_t summaries_missing_ = 0;
  std::int64_t open_chunks_ = 0;
  std::int64_t leased_chunks_ = 0;
  std::vector<std::int64_t> open_per_variant_;
  Rounds rounds_;
  std::vector<std::int64_t> open_per_round_;              // of all groups
  std::vector<std::vector<std::int64_t>> open_per_turn_;  // by turn and variant
  std::int32_t rounds_done_ = 0;
  absl::flat_hash_map<std::int32_t, std::vector<WorkerId>> failed_on_;
};

}  // namespace uaqf::core
