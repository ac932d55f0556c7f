// One mapping between absl::Status, used inside every program, and grpc::Status, used on the wire.
//
// An error carries google.rpc messages as absl payloads under their type URL, and the same messages in the trailer
// `grpc-status-details-bin`; both directions keep all of them. Every error that leaves a server has one ErrorInfo:
// ToGrpc adds one, with the code's own name as the reason, where the error has none.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace uaqf::wire {

// ErrorInfo.domain of every reason of ours.
inline constexpr char kErrorDomain[] = "uaqf";

// An error with a reason: UPPER_SNAKE, constant for its cause. `message` says got, expected, what to do.
[[nodiscard]] absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message);

// `status` with a reason, or with another one.
[[nodiscard]] absl::Status WithReason(absl::Status status, absl::string_view reason);

// `status` with a RetryInfo: the caller may try again after `delay`.
[[nodiscard]] absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);

// ErrorInfo.reason; empty when there is none.
std::string Reason(const absl::Status& status);

// RetryInfo.retry_delay, when there is one.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

[[nodiscard]] grpc::Status ToGrpc(const absl::Status& status);

// Details that do not parse are dropped; code and message always arrive.
[[nodiscard]] absl::Status FromGrpc(const grpc::Status& status);

}  // namespace uaqf::wire
