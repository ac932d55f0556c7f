// Outputs of the same variants in two jobs, which may be of other devices: how far the same tokens come out.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/comparability.h"
#include "server/ranking/measures.h"

namespace uaqf::ranking {

struct ComparedOutputs {
  std::string variant;
  AgreementMeasure outputs;  // of the other job, with the one's
};

struct OutputComparison {
  std::vector<ComparedOutputs> variants;  // in the order of `one`
  std::vector<std::string> notes;         // what was left out, and why
};

// Of jobs without a mismatch in Scope::kOutputs. A variant whose configuration differs is another one under the same
// name, and left out. FailedPrecondition: no variant has outputs of the same prompt in both.
[[nodiscard]] absl::StatusOr<OutputComparison> CompareOutputs(const Measurements& one, const JobIdentity& one_identity,
                                                              const Measurements& other,
                                                              const JobIdentity& other_identity);

}  // namespace uaqf::ranking
