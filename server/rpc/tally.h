// What the coordinator's loop does, as the figures that /metrics shows.
#pragma once

#include <vector>

#include "server/core/scheduler.h"
#include "server/metrics/metrics.h"

namespace uaqf::rpc {

// Adds one job, or one worker, to the gauges.
void Tally(const core::JobView& job, metrics::CoordinatorFigures& figures);
void Tally(const core::WorkerView& worker, metrics::CoordinatorFigures& figures);

// Counts what became durable: leases given, attempts ended and why.
void CountMutations(const std::vector<core::Mutation>& mutations, metrics::Metrics& metrics);
void CountBatch(core::Verdict verdict, metrics::Metrics& metrics);

}  // namespace uaqf::rpc
