#include "server/rpc/attempts.h"

namespace uaqf::rpc {

std::vector<v1::ChunkEvidence> ParseEvidence(const std::vector<core::AttemptEvidence>& attempts) {
  std::vector<v1::ChunkEvidence> evidence(attempts.size());
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    if (!evidence[k].ParseFromString(attempts[k].evidence)) evidence[k].Clear();
  }
  return evidence;
}

ranking::EnergyColumns Energies(const std::vector<core::AttemptEvidence>& attempts,
                                const std::vector<v1::ChunkEvidence>& evidence, const core::TimingSpec& timing) {
  ranking::EnergyColumns energies;
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    const core::AttemptEvidence& attempt = attempts[k];
    if (attempt.kind != core::ChunkKind::kTiming) continue;
    energies.variant.push_back(attempt.variant);
    energies.first.push_back(attempt.first);
    energies.count.push_back(attempt.count);
    energies.energy_j.push_back(evidence[k].gpu().energy_j());
    energies.output_tokens.push_back(attempt.output_tokens + timing.warmup_generations * attempt.first_output_tokens);
  }
  return energies;
}

}  // namespace uaqf::rpc
