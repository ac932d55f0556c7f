// Adds to an evaluation how sure it is. Internal to server/ranking.
#pragma once

#include <string>
#include <vector>

#include "server/ranking/evaluation.h"
#include "server/ranking/resample.h"

namespace uaqf::ranking {

// Fills the standing of every ranked variant, the intervals of its terms and its differences to fp16. Returns why it
// cannot, which leaves the evaluation as it was; empty when it did. `resampled` has the variants of `measures` in their
// order, over the same records.
[[nodiscard]] std::string AddCertainty(const Resampled& resampled, const std::vector<VariantMeasures>& measures,
                                       const Profile& profile, Evaluation* evaluation);

}  // namespace uaqf::ranking
