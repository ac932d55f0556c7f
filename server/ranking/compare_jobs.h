// Two measurements of the same variants: what changed between them, on the same prompts, runs and windows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/measurements.h"
#include "server/ranking/rank.h"
#include "server/ranking/resample.h"
#include "server/ranking/twin.h"

namespace uaqf::ranking {

// One variant in both. A figure is absent where fewer than kLeastUnits prompts, or windows, are in both.
struct ComparedVariant {
  std::string variant;
  std::int32_t prompts = 0;
  std::int32_t windows = 0;
  std::optional<Comparison> speed_ratio{};     // mean tokens/s of the other by the one's; within_noise by the floor
  std::optional<Comparison> nll_difference{};  // nats per token of the other less the one's

  bool SpeedDiffers() const;  // the interval does not hold 1, and the ratio lies outside the noise floor
  bool NllDiffers() const;    // the interval does not hold 0: quality has no noise floor
};

// What one of the jobs tells of its noise.
struct JobTwin {
  std::string job;                    // "jobs/{job}", for notes
  std::optional<TwinRecords> twin{};  // absent where it timed fp16 once
};

struct JobComparison {
  std::vector<ComparedVariant> variants;  // in the order of `one`
  // What fp16 differs from itself, of ln tokens/s: the larger floor of the two jobs (noise_floor.h). Absent where
  // neither has one.
  std::optional<double> speed_floor{};
  std::vector<std::string> notes;  // what was left out, and what is not known of the noise
  std::int32_t resamples = 0;
  std::uint64_t seed = 0;
};

// `one` and `other` as AlignGroups gives them, of jobs without a mismatch (comparability.h), and `twins` of both.
// Intervals are over prompts: what shifts all times of a job alike, as another temperature does, is not in them. So a
// speed differs only by more than fp16 differed from itself within a job, which is still no bound on what a device does
// between two: where fp16 differs as well, a note says that all ratios hold what changed for it.
// InvalidArgument as Measure. FailedPrecondition: no variant is in both.
[[nodiscard]] absl::StatusOr<JobComparison> CompareJobs(const Measurements& one, const Measurements& other,
                                                        const std::vector<JobTwin>& twins,
                                                        const ResampleOptions& options = {});

}  // namespace uaqf::ranking
