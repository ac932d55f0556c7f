// Variants that a device does not hold together are measured in groups, fp16 in each (server/core/plan.h): what drifted
// between two groups is then known from fp16, and taken out.
#pragma once

#include <string>
#include <vector>

#include "server/ranking/measurements.h"

namespace uaqf::ranking {

struct AlignedRecords {
  Measurements measurements;  // of one group: TimingColumns::group is empty
  // What was scaled by how much, for people; empty when there is one group.
  std::vector<std::string> notes;
};

// Brings all times to the scale of the first group: those of a prompt in group g are multiplied by (fp16's time of that
// prompt in group 0) / (its time of it in group g), over the runs that both have, so that a ratio to fp16 is the ratio
// to the fp16 of the same group. By prompt, since the two times of fp16 vary as all others do: prompts are what is
// drawn again (resample.h), and so is, with them, how far the scale may be off. One scale for all prompts would be
// taken for exact, and intervals across groups come out too short. fp16 keeps the records of the first group alone.
// Records of a prompt that fp16 does not have in both groups go, which a note says; a variant that loses all of them
// has a timing_problem. Rows that are not consistent are left for CheckTables to refuse.
[[nodiscard]] AlignedRecords AlignGroups(Measurements measurements);

}  // namespace uaqf::ranking
