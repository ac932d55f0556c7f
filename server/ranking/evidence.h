// What makes the figures of a job believable: what was rejected, how the device ran, whether it drifted, and whether
// the variants took turns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/ranking/measures.h"

namespace uaqf::ranking {

// One accepted attempt of a timing chunk; what a device does not tell is 0 or empty.
struct TimedAttempt {
  std::int32_t variant = 0;
  // Of the variants that took turns (groups.h), from 0.
  std::int32_t group = 0;
  // Prompts [first, first + count), in run `repeat`.
  std::int32_t repeat = 0;
  std::int32_t first = 0;
  std::int32_t count = 0;
  double latency_s = 0;  // of all of its generations together
  double wall_s = 0;     // of the attempt
  double clock_mhz = 0;  // of the multiprocessors, or of the processor
  double power_capped_s = 0;
  double thermal_s = 0;
  std::int32_t temperature_c = 0;
  std::vector<std::string> slowdowns{};
  double foreign_load = 0;  // share
  std::int64_t involuntary_switches = 0;
  std::string device{};
};

// Of one variant's timing chunks. Absent: the device does not tell.
struct VariantEvidence {
  std::int32_t chunks = 0;
  struct Clock {
    double mean = 0, low = 0, high = 0;  // MHz, over chunks
  };
  std::optional<Clock> clock{};
  // Shares of the wall time that clocks were held down for.
  double power_capped = 0;
  double thermal = 0;
  std::vector<std::string> slowdowns{};  // sorted, each once
  std::optional<std::int32_t> highest_temperature_c{};
  double highest_foreign_load = 0;
  std::int64_t involuntary_switches = 0;
  // 0.5, and how much later than those of all variants its chunks ran in the mean, on the same prompts and run: in
  // places of a group's run, from 0 for its first chunk to 1 for its last. So 0.5 where variants take turns, and a
  // variant that was stopped is held against what the others did until then.
  double mean_place = 0.5;
};

struct EvidenceSummary {
  std::vector<VariantEvidence> variants;  // in their order
  // How much longer the same generations took at the end of the run than at its beginning, as a share: regression of
  // the logarithm of a chunk's time on its place in the run, within chunks of the same variant, prompts and device.
  // Absent where no chunk was repeated.
  std::optional<Estimate> drift{};
  // Largest distance of a mean place from 0.5, of a variant in a group, since groups are compared by an fp16 in each: 0
  // where all took turns, near 0.5 where they ran one after another.
  double imbalance = 0;
  // Whether what drifts falls on all variants alike: the imbalance is at most kMostImbalance.
  bool interleaved = true;
};

inline constexpr double kMostImbalance = 0.1;

// `attempts` in the order they ran. Linear in them, but for sorting.
[[nodiscard]] EvidenceSummary SummarizeEvidence(const std::vector<TimedAttempt>& attempts, std::size_t variants);

}  // namespace uaqf::ranking
