// Which variants of a running job need no more measurements: those that another one surely beats, and those that surely
// break a limit. What remains gets the device's time.
//
// A job is looked at after every round, so fixed-sample tests would add up their errors; confidence sequences do not.
// They run over prompts and windows in the order of their numbers, which must be random, on what each of them adds to
// the difference of two utilities: logarithms of ratios of speeds, differences of log-likelihoods and of relative
// deviations. The first kScaleUnits of them set a range; what lies beyond it later is cut off at its ends, so that one
// stray prompt decides nothing. Where the first are all equal there is no range yet, and nothing is said. That the best
// is taken out, or one that keeps its limits is said to break one, has at most the probability `error` in one job.
//
// Nobody is beaten by less than fp16 differs from itself (noise_floor.h): that is what two processes of one variant may
// be apart, and no number of prompts tells it away.
//
// A speed here is the mean of logarithms, where a ranking takes the logarithm of means, and a deviation is that of each
// prompt: the differences of two variants are the same but for what prompts and variants have together.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/ranking/measurements.h"
#include "server/ranking/noise_floor.h"
#include "server/ranking/profile.h"

namespace uaqf::ranking {

inline constexpr std::size_t kScaleUnits = 4;

enum class Elimination { kNone, kBeaten, kInfeasible };

struct Eliminated {
  Elimination kind = Elimination::kNone;
  std::string reason;         // for people, empty when it goes on
  bool keeps_limits = false;  // surely, every limit of the profile; true where it has none
};

// FailedPrecondition: a profile under which nothing can be eliminated, since the worth of a variant depends on who else
// is in the list (minmax), or hangs on batches that are timed last (traffic).
[[nodiscard]] absl::Status CanEliminate(const Profile& profile);

// The same, and FailedPrecondition where a job of so many repeats, with or without a text, never has what the profile
// weighs or limits.
[[nodiscard]] absl::Status CanDecide(const Profile& profile, std::int32_t repeats, bool measures_quality);

// One entry per variant. `active` says which of them are still measured; fp16 always is. Only prompts with all their
// runs and windows that all active variants have are looked at; nothing is said of a variant that lacks what the
// profile weighs. fp16 can be beaten, and must be measured nevertheless while others are compared with it. `floor` is
// that of the records so far, absent where fp16 is not timed twice. Pure.
[[nodiscard]] std::vector<Eliminated> Eliminate(const Measurements& so_far, const std::vector<bool>& active,
                                                const Profile& profile, double error,
                                                const std::optional<NoiseFloor>& floor = std::nullopt);

}  // namespace uaqf::ranking
