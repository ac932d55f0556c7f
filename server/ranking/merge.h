// Records of several comparable jobs as those of one, whose variants are ranked together.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/measurements.h"

namespace uaqf::ranking {

// One job's records, as SetAsideWhatCannotBe gives them: before AlignGroups.
struct JobRecords {
  std::string job;  // "jobs/{job}", for messages
  Measurements measurements;
};

struct MergedRecords {
  Measurements measurements;
  // Which group is which job's, for people; empty for one job.
  std::vector<std::string> notes;
};

// The baseline is fp16 of the first job: quality is paired with its records, and times of a job with an fp16 of its own
// are a group of their own (groups.h), so that AlignGroups compares them by their ratio to that fp16, prompt by
// prompt. Without one they are compared as they are, which a note says.
// FailedPrecondition: fp16 in a later job and not in the first, or a variant beside fp16 in several jobs. Its records
// are neither chosen from nor pooled: a pool would have runs of it that the others lack.
[[nodiscard]] absl::StatusOr<MergedRecords> MergeJobs(std::vector<JobRecords> jobs);

}  // namespace uaqf::ranking
