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

namespace uaqf::ranking {

// One variant in both. A figure is absent where fewer than kLeastUnits prompts, or windows, are in both.
struct ComparedVariant {
  std::string variant;
  std::int32_t prompts = 0;
  std::int32_t windows = 0;
  std::optional<Comparison> speed_ratio{};     // mean tokens/s of the other by the one's
  std::optional<Comparison> nll_difference{};  // nats per token of the other less the one's

  bool SpeedDiffers() const;  // the interval does not hold 1
  bool NllDiffers() const;    // nor 0
};

struct JobComparison {
  std::vector<ComparedVariant> variants;  // in the order of `one`
  std::vector<std::string> notes;         // what was left out
  std::int32_t resamples = 0;
  std::uint64_t seed = 0;
};

// `one` and `other` as AlignGroups gives them, of jobs without a mismatch (comparability.h).
// InvalidArgument as Measure. FailedPrecondition: no variant is in both.
[[nodiscard]] absl::StatusOr<JobComparison> CompareJobs(const Measurements& one, const Measurements& other,
                                                        const ResampleOptions& options = {});

}  // namespace uaqf::ranking
