#include "client/failure.h"

#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "client/utf8.h"
#include "proto/wire/status.h"

namespace uaqf::client {

ExitCode ExitCodeOf(const absl::Status& status) {
  const std::string reason = wire::Reason(status);
  if (reason == kReasonInterrupted) return kExitInterrupted;
  if (reason == kReasonNotDecidable) return kExitNotDecidable;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnavailable;
    default:
      return kExitFailed;
  }
}

std::string ErrorText(const absl::Status& status, const Terminal& terminal) {
  std::string message = Printable(std::string(status.message()), /*keep_newlines=*/true);
  if (message.empty()) message = absl::StatusCodeToString(status.code());
  if (ExitCodeOf(status) == kExitNotDecidable && !absl::StartsWith(message, "not decidable")) {
    message = absl::StrCat("not decidable: ", message);
  }
  std::string text = absl::StrCat(terminal.Paint(Style::kRed, "error:"), " ");
  const std::vector<std::string> lines = absl::StrSplit(message, '\n');
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0 && lines[i].empty()) continue;
    absl::StrAppend(&text, i == 0 || absl::StartsWith(lines[i], "  ") ? "" : "  ", lines[i], "\n");
  }
  if (const std::optional<absl::Duration> delay = wire::RetryDelay(status)) {
    absl::StrAppend(&text, "  try again in ", absl::FormatDuration(*delay), "\n");
  }
  return text;
}

absl::Status UsageError(absl::string_view message) {
  return wire::Error(absl::StatusCode::kInvalidArgument, "USAGE", message);
}

}  // namespace uaqf::client
