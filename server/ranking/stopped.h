// Variants that a job stopped measuring before its end (elimination.h). They must not shrink what the others are
// compared on: they stand behind them, each by the prompts and windows that it had when it was stopped.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/decision_data.h"
#include "server/ranking/measures.h"

namespace uaqf::ranking {

// What a stopped variant is judged by: the figures and draws of all variants that have what it has.
struct StoppedVariant {
  std::size_t variant = 0;
  std::vector<VariantMeasures> measures;  // of all variants, in their order; those that have less have no records
  DecisionData data;
};

// Without the timings and windows of stopped variants.
[[nodiscard]] Measurements WithoutStopped(Measurements measurements);

// One for each stopped variant with records, in the order of the variants. Fails like Measure.
[[nodiscard]] absl::StatusOr<std::vector<StoppedVariant>> JudgeStopped(const Measurements& measurements,
                                                                       const ResampleOptions& options = {});

}  // namespace uaqf::ranking
