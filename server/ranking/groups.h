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

// Brings all times to the scale of the first group: those of group g are multiplied by (fp16's time in group 0) / (its
// time in group g), over the prompts and runs that both have, so that a ratio to fp16 is the ratio to the fp16 of the
// same group. fp16 keeps the records of the first group alone. Variants of a group whose fp16 has nothing in common
// with the first one's lose their timing records, with a timing_problem. Rows that are not consistent are left for
// CheckTables to refuse.
[[nodiscard]] AlignedRecords AlignGroups(Measurements measurements);

}  // namespace uaqf::ranking
