// Published figures: what a request must hold, and its way through the types of server/core and server/ranking.
#pragma once

#include <uaqf/v1/evaluation_service.pb.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/imported.h"
#include "server/core/progress.h"
#include "server/ranking/published.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

// INVALID_ARGUMENT with which row and figure, what was got, what was expected.
[[nodiscard]] absl::Status Validate(const v1::ImportJobRequest& request);

// `message` must have passed Validate.
core::ImportedTable FromProto(const v1::ImportedTable& message);
v1::ImportedTable ToProto(const core::ImportedTable& table);
std::vector<ranking::PublishedFigures> FiguresOf(const core::ImportedTable& table);

// Stores the table of a request that passed Validate; the id of its job, or of the one that the same request made
// before. ALREADY_EXISTS (REQUEST_ID_REUSED), or what the store says.
[[nodiscard]] absl::StatusOr<core::JobId> Import(store::ImportStore* store, const v1::ImportJobRequest& request);

}  // namespace uaqf::rpc
