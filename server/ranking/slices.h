// Rankings of parts of the prompts: a variant that wins overall may lose where it matters.
#pragma once

#include <string>
#include <vector>

#include "server/ranking/measurements.h"
#include "server/ranking/rank.h"

namespace uaqf::ranking {

// The part of the prompts that each prompt is in.
struct SliceLabels {
  std::vector<std::string> names;
  std::vector<std::int32_t> of_item;  // [prompt of the set] into `names`; -1: in none
};

// One part. Quality, which is measured on a text and not on prompts, memory, and energy, which is measured on chunks,
// are those of the whole job.
struct Slice {
  std::string name;
  std::int32_t prompts = 0;  // measured
  // With a status that Rank would give where it cannot be ranked.
  absl::StatusOr<Ranking> ranking = absl::UnknownError("not ranked");
};

// Those with a prompt that was measured, in the order of the names. `common` as KeepCommonRecords gives it.
[[nodiscard]] std::vector<Slice> RankSlices(const Measurements& common, const SliceLabels& labels,
                                            const Profile& profile, const JobFacts& job, bool ignore_sanity,
                                            const ResampleOptions& resampling = {});

}  // namespace uaqf::ranking
