// Records and evidence as the core and the store see them: the figures that are decided on, and the rest as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/core/chunk.h"

namespace uaqf::core {

enum class RecordBody : std::int32_t {
  kTiming = 1,
  kGeneration = 2,
  kWindow = 3,
  kFailure = 4,
  kTask = 5,
  kDivergence = 6,
  kArticle = 7,
  kSummary = 8,
  kTraffic = 9,
};

// Checks of one kind on one answer; `metric` has the numbers of TaskMetric of record.proto.
struct TaskCheck {
  std::int32_t metric = 0;
  std::int32_t passed = 0;
  std::int32_t made = 0;  // 1 to 65535

  friend bool operator==(const TaskCheck&, const TaskCheck&) = default;
};

inline constexpr std::size_t kMostTaskChecks = 5;

// Of what a device reads and computes at most, what one phase of a batch took: 0 to about 1 each. 0: not known.
struct DeviceShares {
  double read = 0;
  double compute = 0;

  friend bool operator==(const DeviceShares&, const DeviceShares&) = default;
};

// One measurement. Fields that its body does not have stay 0.
struct RecordRow {
  std::int32_t item = 0;
  std::int32_t repeat = 0;
  RecordBody body = RecordBody::kTiming;
  std::int32_t input_tokens = 0;
  std::int32_t output_tokens = 0;
  std::int64_t latency_ns = 0;
  std::int64_t tokenize_ns = 0;
  std::int64_t prefill_ns = 0;
  std::int64_t decode_ns = 0;
  std::int64_t detokenize_ns = 0;
  std::int32_t scored_tokens = 0;
  double nll_sum = 0;                  // nats; may be NaN or infinite for a collapsed variant
  std::vector<TaskCheck> checks = {};  // for kTask: 1 to kMostTaskChecks
  // For kDivergence, whose positions are `scored_tokens`.
  double kl_sum = 0;        // nats; NaN for a collapsed variant; with a `summary_k`, the lower side
  double kl_upper_sum = 0;  // the upper side; equals `kl_sum` where that is exact
  std::int32_t same_top = 0;
  std::int32_t top_k = 0;
  std::int64_t shared_top = 0;
  // For kDivergence: of the summary it was bounded with, 0: exact. For kSummary, whose positions are `scored_tokens`.
  std::int32_t summary_k = 0;
  // For kArticle, whose tokens are `scored_tokens`.
  std::int32_t words = 0;
  std::int32_t bytes = 0;
  // For kTraffic, whose lengths are of each sequence and whose times are of the whole batch.
  std::int32_t batch = 0;
  DeviceShares prefill_shares = {};
  DeviceShares decode_shares = {};
  std::string failure;  // for kFailure: why this item cannot be measured
  std::string blob;     // the serialized uaqf.v1.Record, stored and given back as it is
};

// Bytes a hosted variant takes, as MemoryUse of record.proto.
struct MemoryUse {
  std::int64_t weights_bytes = 0;
  std::int64_t block_weights_bytes = 0;
  std::int64_t kv_cache_bytes = 0;
  std::int64_t workspace_bytes = 0;
  std::int64_t measured_peak_bytes = 0;
};

// State of the device around one attempt.
struct Evidence {
  MemoryUse memory;
  std::vector<std::string> taints;
  std::string blob;                   // the serialized uaqf.v1.ChunkEvidence
  std::string variant_digest;         // of the variant's configuration
  std::string variant_configuration;  // JSON with that digest; empty: not known
};

// The end of an attempt.
struct AttemptEnd {
  std::int32_t record_count = 0;  // over all batches of the attempt
  Evidence evidence;
};

// Some records of one attempt, as they came from a worker.
struct RecordBatch {
  WorkerId worker;
  AttemptId attempt;
  std::int64_t sequence = 0;  // from 0 within the attempt, without gaps
  std::vector<RecordRow> records;
  bool has_end = false;
  AttemptEnd end;
  // Why the message contradicts itself in what the core does not see; empty when it does not. Such a batch is rejected.
  std::string contradiction;
};

// What a batch is answered with, after the commit of the mutations that came with it.
enum class Verdict : std::int32_t {
  kStored = 1,
  kLeaseLost = 2,  // the epoch is not the chunk's any more, or the job has ended
  kRejected = 3,   // contradicts the lease
  // Out of order: an earlier batch is missing, e.g. because a commit failed. Not to be acknowledged: end the record
  // stream with UNAVAILABLE, so that the worker sends again everything unacknowledged.
  kGap = 100,
};

}  // namespace uaqf::core
