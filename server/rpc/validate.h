// One Validate per request: ranges, sizes, names, enums, numbers that are none. Pure functions over messages; nothing
// behind them looks at a field again. UTF-8 is checked where the bytes are parsed (unary.h).
//
// Failures are INVALID_ARGUMENT with a reason; the message says which field, what was got, what was expected.
#pragma once

#include <uaqf/v1/evaluation_service.pb.h>
#include <uaqf/v1/ranking_service.pb.h>
#include <uaqf/v1/worker_service.pb.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace uaqf::rpc {

// The spec with every default of the contract filled in; Validate expects it so.
v1::JobSpec WithDefaults(v1::JobSpec spec);

[[nodiscard]] absl::Status Validate(const v1::CreateJobRequest& request);
[[nodiscard]] absl::Status Validate(const v1::PromptSetHeader& header);
// One item. Ids are compared for repetition by whoever collects the set.
[[nodiscard]] absl::Status Validate(const v1::Prompt& prompt, v1::PromptSetKind kind);
// That the task of `prompt` has an answer to score by, and may generate. INVALID_TASK.
[[nodiscard]] absl::Status ValidateTask(const v1::Prompt& prompt);
// What every message of a worker must be; the first of a session needs the same.
[[nodiscard]] absl::Status Validate(const v1::WorkerState& state);
// Only that the batch can be answered: of which worker, attempt and sequence it is.
[[nodiscard]] absl::Status Validate(const v1::RecordBatch& batch);
// Why the content of such a batch cannot be; empty when it can: figures out of range, a record that no device can have
// measured, an end without evidence. What cannot be must not be stored, for it would be read for ever; and it is
// answered, since a batch whose stream just ended would be sent again for ever.
std::string Contradiction(const v1::RecordBatch& batch);
[[nodiscard]] absl::Status Validate(const v1::SummaryHeader& header);
[[nodiscard]] absl::Status Validate(const v1::FetchSummaryRequest& request);
[[nodiscard]] absl::Status Validate(const v1::CreateProfileRequest& request);
[[nodiscard]] absl::Status Validate(const v1::Profile& profile);
[[nodiscard]] absl::Status Validate(const v1::Constraint& constraint);

// 1 to 128 printable ASCII characters.
[[nodiscard]] absl::Status ValidateRequestId(absl::string_view id);

// 0 means `standard`. OUT of [0, largest]: INVALID_ARGUMENT.
[[nodiscard]] absl::Status ValidatePageSize(std::int32_t size, std::int32_t largest);

}  // namespace uaqf::rpc
