// Which variants of a running job need no more measurements: those that another one surely beats, and those that surely
// break a limit. What remains gets the device's time.
//
// A job is looked at after every round, so fixed-sample tests would add up their errors; confidence sequences do not.
// They run over prompts and windows in the order of their numbers, which must be random, on what each of them adds to
// the difference of two utilities: logarithms of ratios of speeds, differences of log-likelihoods and of relative
// deviations. The first kScaleUnits of them set a range; what lies beyond it later is cut off at its ends, so that one
// stray prompt decides nothing. All statements about one job together are wrong with probability `error`.
//
// A speed here is the mean of logarithms, where a ranking takes the logarithm of means, and a deviation is that of each
// prompt: the differences of two variants are the same but for what prompts and variants have together.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/ranking/measurements.h"
#include "server/ranking/profile.h"

namespace uaqf::ranking {

inline constexpr std::size_t kScaleUnits = 4;

enum class Elimination { kNone, kBeaten, kInfeasible };

struct Eliminated {
  Elimination kind = Elimination::kNone;
  std::string reason;  // for people, empty when it goes on
};

// FailedPrecondition: a profile under which nothing can be eliminated, since the worth of a variant depends on who else
// is in the list (minmax), or hangs on batches that are timed last (traffic).
[[nodiscard]] absl::Status CanEliminate(const Profile& profile);

// One entry per variant. `active` says which of them are still measured; fp16 always is. Only prompts with all their
// runs and windows that all active variants have are looked at; nothing is said of a variant that lacks what the
// profile weighs. fp16 can be beaten, and must be measured nevertheless while others are compared with it. Pure.
[[nodiscard]] std::vector<Eliminated> Eliminate(const Measurements& so_far, const std::vector<bool>& active,
                                                const Profile& profile, double error);

}  // namespace uaqf::ranking
