// How far a job is. Kept as sums, so that every accepted attempt costs the same however large the job.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/core/device_time.h"
#include "server/core/imported.h"
#include "server/core/record.h"
#include "server/core/types.h"

namespace uaqf::core {

// Counts and sums over the accepted attempts of one variant. A restart reads them back from the store.
struct Tally {
  std::int64_t records_done = 0;  // accepted measurements; failures are counted as quarantined
  std::int64_t records_total = 0;
  std::int64_t records_quarantined = 0;
  std::int64_t chunks_done = 0;  // accepted or quarantined; a split chunk is replaced by its halves
  std::int64_t chunks_total = 0;
  std::int64_t attempts_tainted = 0;  // rejected and run again
  std::int64_t attempts_rerun = 0;    // expired, failed or tainted
  std::int64_t timing_records = 0;
  double latency_sum_s = 0;
  double rate_sum = 0;  // of output tokens / latency over timing records, tokens/s
  std::int64_t scored_tokens = 0;
  double nll_sum = 0;

  void Add(const Tally& other);
  friend bool operator==(const Tally&, const Tally&) = default;
};

// Adds one record of an attempt to its sums; a failure counts as quarantined.
void Count(const RecordRow& record, Tally* sums);

// Layers calibrated and in all; none in all: nothing is calibrated.
struct CalibrationProgress {
  std::int32_t layers_done = 0;
  std::int32_t layers_total = 0;

  friend bool operator==(const CalibrationProgress&, const CalibrationProgress&) = default;
};

// One variant of a job.
struct VariantStatus {
  VariantState state = VariantState::kPending;
  std::string error;  // why it failed, or was stopped
  Tally tally;
};

struct VariantProgress {
  std::string variant;
  VariantState state = VariantState::kPending;
  std::int64_t records_done = 0;
  std::int64_t records_total = 0;
  std::int64_t chunks_tainted = 0;
  std::optional<double> latency_s;
  std::optional<double> tokens_per_s;
  std::optional<double> nll;
  std::string error;
  CalibrationProgress calibration = {};  // while a worker calibrates it
};

struct JobProgress {
  std::int64_t records_done = 0;
  std::int64_t records_total = 0;
  std::int64_t records_quarantined = 0;
  std::int64_t chunks_done = 0;
  std::int64_t chunks_total = 0;
  std::int64_t chunks_rerun = 0;
  double records_per_s = 0;
  std::optional<std::int64_t> remaining_ns;
  std::string current;
  std::vector<VariantProgress> variants;
};

// A job as clients see it. Times are wall clock, ns since 1970; 0: not yet.
struct JobView {
  JobId id;
  JobSpec spec;
  JobState state = JobState::kQueued;
  std::int64_t create_wall_ns = 0;
  std::int64_t start_wall_ns = 0;
  std::int64_t end_wall_ns = 0;
  JobProgress progress;
  std::string error;
  std::string release_format;   // of the survey; empty before it
  std::int64_t parameters = 0;  // of the survey; 0: not known
  // Of a job that was imported, which has ended and has no records; its spec names the variants alone.
  std::optional<ImportedTable> imported = {};
  // Of a job in rounds, where it can be told. JobStore::GetJob fills it, no other view has it.
  std::optional<DeviceTime> device_time = {};
};

// Progress of the sums alone: no rate, no current chunk. `status` has one entry per variant of `spec`.
JobProgress Summarize(const JobSpec& spec, const std::vector<VariantStatus>& status);

// Records per second over the last minute, in 1 s steps; constant size.
class RateMeter {
 public:
  void Add(std::int64_t mono_ns, std::int64_t count);
  // 0 before anything was added. Averages over the time since the first addition, at least 1 s, at most a minute.
  double PerSecond(std::int64_t mono_ns) const;

 private:
  static constexpr int kSlots = 60;
  void Advance(std::int64_t second);

  std::int64_t slots_[kSlots] = {};
  std::int64_t first_second_ = -1;
  std::int64_t last_second_ = -1;
};

}  // namespace uaqf::core
