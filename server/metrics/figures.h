// The gauges of /metrics: the last published snapshot, turned into samples when somebody asks. Nothing of an older
// snapshot lingers, so a job that is no longer among the newest disappears.
#pragma once

#include <prometheus/collectable.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace uaqf::metrics {

// Jobs that get series of their own.
inline constexpr std::size_t kJobCap = 8;

// The coordinator at one moment. Counts of jobs and records equal the store's.
struct CoordinatorFigures {
  bool serving = false;
  std::int64_t jobs_queued = 0;
  std::int64_t jobs_running = 0;
  std::int64_t jobs_succeeded = 0;
  std::int64_t jobs_cancelled = 0;
  std::int64_t jobs_failed = 0;
  std::int64_t queue_chunks = 0;
  std::int64_t leased_chunks = 0;
  std::int64_t workers_idle = 0;
  std::int64_t workers_loading = 0;
  std::int64_t workers_busy = 0;
  std::int64_t workers_benched = 0;
  std::int64_t workers_draining = 0;
  std::int64_t watchers = 0;
  std::int64_t records_accepted = 0;
  std::int64_t records_quarantined = 0;
};

// A variant at one combination of a traffic grid.
struct TrafficFigures {
  std::int32_t batch = 0;
  std::int32_t input_tokens = 0;
  std::int32_t output_tokens = 0;
  double tokens_per_s = 0;
  std::optional<double> speedup;  // over fp16; absent for fp16 and without it
};

struct VariantFigures {
  std::string variant;
  std::int64_t records_done = 0;
  std::int64_t records_total = 0;
  std::int64_t chunks_tainted = 0;
  // Absent: not measured.
  std::optional<double> latency_s;
  std::optional<double> latency_half_width_s;
  std::optional<double> latency_p50_s;
  std::optional<double> ttft_s;
  std::optional<double> tokens_per_s;
  std::optional<double> relative_stability;
  std::optional<double> speedup;
  std::optional<double> perplexity;
  std::optional<double> delta_nll;
  std::optional<double> memory_bytes;
  std::optional<double> energy_per_token_j;
  // Of a job that timed a grid.
  std::vector<TrafficFigures> traffic;
};

// A ranked variant under a profile.
struct DecisionFigures {
  std::string profile;
  std::string variant;
  double utility = 0;
  std::int32_t rank = 0;
  // Absent where how sure the ranking is cannot be told.
  std::optional<double> probability_best;
  std::optional<double> expected_regret;
};

struct JobFigures {
  std::string job;
  // "queued", "running", "succeeded", "cancelled" or "failed".
  std::string state;
  std::int64_t records_done = 0;
  std::int64_t records_quarantined = 0;
  std::int64_t records_total = 0;
  std::int64_t chunk_reruns = 0;
  double records_per_s = 0;
  // Of fp16 timed twice, as shares of its tokens/s; absent where they are not known.
  std::optional<double> self_difference;
  std::optional<double> noise_floor;
  std::vector<VariantFigures> variants;
  std::vector<DecisionFigures> decisions;
};

// Thread-safe.
class Figures : public prometheus::Collectable {
 public:
  explicit Figures(std::string version);
  void SetCoordinator(const CoordinatorFigures& figures) ABSL_LOCKS_EXCLUDED(mutex_);
  // Newest first; those beyond kJobCap are dropped.
  void SetJobs(std::vector<JobFigures> jobs) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::string version_;
  const double start_time_s_;
  mutable absl::Mutex mutex_;
  CoordinatorFigures coordinator_ ABSL_GUARDED_BY(mutex_);
  std::vector<JobFigures> jobs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace uaqf::metrics
