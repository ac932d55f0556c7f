// Paired differences of two variants over resamples. Internal to server/ranking.
#pragma once

#include <cstddef>

#include "server/ranking/rank.h"
#include "server/ranking/resample.h"

namespace uaqf::ranking {

// figure(variant) - figure(reference): both are drawn alike.
[[nodiscard]] Comparison CompareFigure(const Resampled& resampled, std::size_t variant, std::size_t reference,
                                       double (*figure)(const ResampledFigures&));

// Ratio of mean tokens/s, both of which must have timings and emit tokens: differences of logarithms are ratios.
// `smallest_detectable` is a share of the reference's.
[[nodiscard]] Comparison CompareSpeed(const Resampled& resampled, std::size_t variant, std::size_t reference);

}  // namespace uaqf::ranking
