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

std::vector<HostedOn> WhereHosted(const std::vector<core::AttemptEvidence>& attempts,
                                  const std::vector<v1::ChunkEvidence>& evidence, std::size_t variants) {
  std::vector<HostedOn> hosted(variants);
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    const auto v = static_cast<std::size_t>(attempts[k].variant);
    if (v < variants) hosted[v] = {evidence[k].memory().kv_bytes_per_token(), evidence[k].device().memory_bytes()};
  }
  return hosted;
}

std::vector<ranking::TimedAttempt> TimedAttempts(const std::vector<core::AttemptEvidence>& attempts,
                                                 const std::vector<v1::ChunkEvidence>& evidence) {
  constexpr double kNsPerSecond = 1e9;
  std::vector<ranking::TimedAttempt> timed;
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    const core::AttemptEvidence& attempt = attempts[k];
    if (attempt.kind != core::ChunkKind::kTiming) continue;
    const v1::GpuEvidence& gpu = evidence[k].gpu();
    ranking::TimedAttempt& to = timed.emplace_back();
    to.variant = attempt.variant;
    to.group = attempt.group;
    to.repeat = attempt.repeat;
    to.first = attempt.first;
    to.count = attempt.count;
    to.latency_s = attempt.latency_sum_s;
    to.wall_s = static_cast<double>(evidence[k].wall_ns()) / kNsPerSecond;
    to.clock_mhz = evidence[k].has_gpu() ? gpu.sm_mhz() : evidence[k].cpu_mhz();
    to.power_capped_s = static_cast<double>(gpu.power_capped_ns()) / kNsPerSecond;
    to.thermal_s = static_cast<double>(gpu.thermal_ns()) / kNsPerSecond;
    to.temperature_c = gpu.temperature_c();
    to.slowdowns.assign(gpu.slowdowns().begin(), gpu.slowdowns().end());
    to.foreign_load = evidence[k].foreign_load();
    to.involuntary_switches = evidence[k].involuntary_switches();
    to.device = evidence[k].device().id();
  }
  return timed;
}

}  // namespace uaqf::rpc
