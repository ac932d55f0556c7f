// One evaluation of all variants under a profile: who can be compared, who is feasible, and every term. Internal to
// server/ranking.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/rank.h"
#include "server/ranking/rank_text.h"
#include "server/ranking/terms.h"

namespace uaqf::ranking {

struct Evaluation {
  std::vector<RankedVariant> variants;   // in the order of the measures
  std::vector<EvaluatedTerm> terms;      // those with a weight above 0
  std::vector<EvaluatedTerm> unweighed;  // those of the formula with a weight of 0 that all evaluated variants have
  std::vector<std::size_t> evaluated;    // indices of those that have all terms, feasible or not
  std::optional<std::size_t> winner;     // absent when none is feasible
  std::optional<NoiseFloor> floor;       // absent where the job did not time fp16 twice
};

// Terms and utilities, but no ranks. Normalizes over all evaluated variants, also those that are not feasible. Against
// fp16, a term in which all of them lie within the noise floor is 0.
// FailedPrecondition as Rank.
[[nodiscard]] absl::StatusOr<Evaluation> Evaluate(const std::vector<VariantMeasures>& measures, const Profile& profile,
                                                  const RankOptions& options);

// The order of an answer: by utility, fp16 first among equals, then by name; then those that are not feasible, by the
// relaxation that they need; then those that are not measured.
[[nodiscard]] bool Better(const RankedVariant& a, const RankedVariant& b);

}  // namespace uaqf::ranking
