#include "server/rpc/decide_round.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/wire/names.h"
#include "server/ranking/elimination.h"
#include "server/rpc/profiles.h"
#include "server/rpc/ranking_convert.h"

namespace uaqf::rpc {
namespace {

std::set<std::int32_t> Timed(const ranking::Measurements& m) {
  return std::set<std::int32_t>(m.timings.variant.begin(), m.timings.variant.end());
}

bool Runs(const core::JobView& job, const std::string& variant) {
  for (const core::VariantProgress& progress : job.progress.variants) {
    if (progress.variant != variant) continue;
    return progress.state != core::VariantState::kStopped && progress.state != core::VariantState::kFailed;
  }
  return false;
}

std::int32_t IndexIn(const core::JobSpec& spec, const std::string& variant) {
  for (std::size_t v = 0; v < spec.variants.size(); ++v) {
    if (spec.variants[v] == variant) return static_cast<std::int32_t>(v);
  }
  return -1;
}

}  // namespace

RoundDecision DecideRound(const core::JobView& job, const ranking::Measurements& so_far,
                          const ranking::Profile& profile, const std::optional<ranking::NoiseFloor>& floor) {
  const std::set<std::int32_t> timed = Timed(so_far);
  std::vector<bool> runs, active;
  for (std::size_t v = 0; v < so_far.variants.size(); ++v) {
    runs.push_back(Runs(job, so_far.variants[v].name));
    // Those of a later group have nothing yet, and are not judged.
    active.push_back(runs[v] && timed.count(static_cast<std::int32_t>(v)) > 0);
  }
  const std::vector<ranking::Eliminated> verdicts =
      ranking::Eliminate(so_far, active, profile, 1 - job.spec.allocation.until_decided, floor);
  RoundDecision decision;
  bool keeps_limits = true;
  std::vector<std::string> left;
  for (std::size_t v = 0; v < so_far.variants.size(); ++v) {
    if (!runs[v]) continue;
    const std::string& name = so_far.variants[v].name;
    if (verdicts[v].kind == ranking::Elimination::kNone) {
      left.push_back(name);
      keeps_limits = verdicts[v].keeps_limits;
    } else if (name != core::kBaselineVariant) {
      decision.stop.push_back({IndexIn(job.spec, name), verdicts[v].reason});
    }
  }
  if (left.size() > 1 || !keeps_limits) return decision;
  decision.stop.clear();
  const std::string by = absl::StrFormat("profiles/%s with probability %g", job.spec.allocation.profile,
                                         job.spec.allocation.until_decided);
  decision.decided = left.empty() ? absl::StrCat("decided: no variant keeps the limits of ", by)
                                  : absl::StrCat("decided: ", left[0], " is best by ", by);
  return decision;
}

absl::StatusOr<RoundDecision> DecideRound(store::Store* store, Measurer* measurer, const core::JobId& id) {
  auto so_far = measurer->ReadSoFar(id);
  if (!so_far.ok()) return so_far.status();
  if (core::Ended(so_far->job.state)) return RoundDecision{};
  auto profile = FindProfile(store, wire::ProfileName(so_far->job.spec.allocation.profile));
  if (!profile.ok()) return profile.status();
  const ranking::Profile by = FromProto(*profile);
  std::optional<ranking::NoiseFloor> floor;
  if (so_far->twin) floor = ranking::FloorOf(ranking::PrepareTwin(*so_far->twin), by);
  return DecideRound(so_far->job, so_far->measurements, by, floor);
}

}  // namespace uaqf::rpc
