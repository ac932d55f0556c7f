// The penalty of unsteady times (METHODS.md, section 1) over the figures of one resample. Internal to server/ranking.
#pragma once

#include "server/ranking/profile.h"
#include "server/ranking/resample.h"

namespace uaqf::ranking {

// As the profile forms it: a share of the latency, or alpha times s plus beta times tokens/s.
inline double StabilityOf(const ResampledFigures& figures, const Profile& profile) {
  if (profile.stability_form == StabilityForm::kRelative) return figures.latency_deviation_s / figures.latency_s;
  return profile.stability_alpha * figures.latency_deviation_s + profile.stability_beta * figures.throughput_deviation;
}

}  // namespace uaqf::ranking
