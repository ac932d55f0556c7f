// How a failure is told: one message on standard error, one exit code.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/terminal.h"

namespace uaqf::client {

// Exit codes that scripts can use. They do not change between releases.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,        // the request was understood and did not succeed; a job that failed or was cancelled
  kExitUsage = 2,         // a flag, a value or an input file that cannot be
  kExitUnavailable = 3,   // no coordinator, or none that answers in time
  kExitNotDecidable = 4,  // what the profile weighs was not measured
  kExitInterrupted = 130  // Ctrl-C, as shells have it
};

// ErrorInfo reasons this program sets itself, beside those of the server.
inline constexpr char kReasonInterrupted[] = "INTERRUPTED";
inline constexpr char kReasonNotDecidable[] = "NOT_DECIDABLE";

ExitCode ExitCodeOf(const absl::Status& status);

// "error: …" with the further lines of the message indented by two, and when to try again where the server says so.
std::string ErrorText(const absl::Status& status, const Terminal& terminal);

// The command line or its input is wrong. `message` says got, expected, what to do; further lines are hints.
[[nodiscard]] absl::Status UsageError(absl::string_view message);

}  // namespace uaqf::client
