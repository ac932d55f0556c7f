// The records of FP16's twin, which a job times to learn what noise makes (A/A; METHODS.md, section 2), apart from
// those that are ranked.
#pragma once

#include <cstdint>
#include <optional>

#include "server/ranking/measurements.h"

namespace uaqf::ranking {

// The twin's name among the variants of a job: core::kBaselineTwin.
inline constexpr char kTwin[] = "fp16#2";

struct TwinRecords {
  Measurements pair;                // variants fp16 and its twin, and their timings in the groups that have both
  bool separate_processes = false;  // no process timed both
  std::int32_t block_prompts = 1;   // prompts of one chunk: item / block_prompts is the block of a prompt
};

struct SplitRecords {
  Measurements ranked;              // without the twin; TimingColumns::process is empty
  std::optional<TwinRecords> twin;  // absent where the job has none
};

// FP16 is in both. `measurements` as the store gives them, before any other step. Never fails: columns that contradict
// each other are left to what checks them.
[[nodiscard]] SplitRecords SplitTwin(Measurements measurements, std::int32_t block_prompts);

}  // namespace uaqf::ranking
