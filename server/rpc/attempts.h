// What the evidence of a job's accepted attempts says, from the bytes that the store keeps.
#pragma once

#include <vector>

#include "server/core/measurements.h"
#include "server/core/types.h"
#include "server/ranking/evidence.h"
#include "server/ranking/measurements.h"
#include "uaqf/v1/record.pb.h"

namespace uaqf::rpc {

// One of each attempt, in their order. What cannot be read is empty.
std::vector<v1::ChunkEvidence> ParseEvidence(const std::vector<core::AttemptEvidence>& attempts);

// Of the timing attempts. Warm-ups run the first prompt of their chunk, to the same length, under the same counter:
// their tokens count.
ranking::EnergyColumns Energies(const std::vector<core::AttemptEvidence>& attempts,
                                const std::vector<v1::ChunkEvidence>& evidence, const core::TimingSpec& timing);

// What the latest attempt of a variant says of the device that hosted it; 0: it does not.
struct HostedOn {
  std::int64_t kv_bytes_per_token = 0;
  std::int64_t device_bytes = 0;
};
std::vector<HostedOn> WhereHosted(const std::vector<core::AttemptEvidence>& attempts,
                                  const std::vector<v1::ChunkEvidence>& evidence, std::size_t variants);

// The timing attempts, in their order.
std::vector<ranking::TimedAttempt> TimedAttempts(const std::vector<core::AttemptEvidence>& attempts,
                                                 const std::vector<v1::ChunkEvidence>& evidence);

}  // namespace uaqf::rpc
