// The report over jobs of several models: which jobs may be in it, and how large their models are.
#pragma once

#include <uaqf/v1/ranking_service.pb.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/scheduler.h"
#include "server/rpc/measures.h"

namespace uaqf::rpc {

// Parameters of models that connected workers read, by the digest of the checkpoint.
using ModelSizes = std::map<std::string, std::int64_t>;
ModelSizes SizesOf(const std::vector<core::WorkerView>& workers);

// The jobs of a request. INVALID_ARGUMENT (OUT_OF_RANGE, DUPLICATE_JOB, or no name of a job).
[[nodiscard]] absl::StatusOr<std::vector<core::JobId>> JobsOf(const v1::CompareModelsRequest& request);

// Reads the store. `sizes` serve for jobs that were measured before their models' parameters were kept. Errors as the
// RPC has them, and as Measurer::Of.
[[nodiscard]] absl::StatusOr<v1::CompareModelsResponse> CompareModels(Measurer& measurer,
                                                                      const std::vector<core::JobId>& jobs,
                                                                      const ModelSizes& sizes);

}  // namespace uaqf::rpc
