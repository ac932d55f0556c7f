// What a finished round of a job has decided: the job's records into orders for the coordinator.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/progress.h"
#include "server/core/scheduler.h"
#include "server/ranking/measurements.h"
#include "server/ranking/noise_floor.h"
#include "server/ranking/profile.h"
#include "server/rpc/measures.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

struct RoundDecision {
  std::vector<core::StopOrder> stop;
  std::string decided;  // why nothing is left to decide; empty when something is
};

// Of records so far with their noise floor, and the job as it was before they were read (Measurer::ReadSoFar). A job
// whose last variant is not known to keep the profile's limits is not decided. Pure.
[[nodiscard]] RoundDecision DecideRound(const core::JobView& job, const ranking::Measurements& so_far,
                                        const ranking::Profile& profile,
                                        const std::optional<ranking::NoiseFloor>& floor);

// The same for a job in the store. For the executor; errors as Measurer::ReadSoFar and FindProfile.
[[nodiscard]] absl::StatusOr<RoundDecision> DecideRound(store::Store* store, Measurer* measurer, const core::JobId& id);

}  // namespace uaqf::rpc
