// The records of FP16's twin, which a job times to learn what noise makes (A/A; METHODS.md, section 2), apart from
// those that are ranked.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/ranking/measurements.h"

namespace uaqf::ranking {

// The twin's name among the variants of a job: core::kBaselineTwin.
inline constexpr char kTwin[] = "fp16#2";

struct TwinRecords {
  Measurements pair;                // variants fp16 and its twin, and their timings in the groups that have both
  bool separate_processes = false;  // no process timed both
  std::int32_t block_prompts = 1;   // prompts of one chunk
  // Of each prompt its place in the order they were timed in; empty: its own number.
  std::vector<std::int32_t> places = {};

  // The chunk that a prompt was in, the same in both variants and in every repeat.
  std::int32_t BlockOf(std::int32_t item) const {
    const bool placed = item >= 0 && item < static_cast<std::int32_t>(places.size());
    return (placed ? places[item] : item) / block_prompts;
  }
};

struct SplitRecords {
  Measurements ranked;              // without the twin; TimingColumns::process is empty
  std::optional<TwinRecords> twin;  // absent where the job has none
};

// FP16 is in both. `measurements` as the store gives them, before any other step; `places` as TwinRecords has them.
// Never fails: columns that contradict each other are left to what checks them.
[[nodiscard]] SplitRecords SplitTwin(Measurements measurements, std::int32_t block_prompts,
                                     std::vector<std::int32_t> places = {});

}  // namespace uaqf::ranking
