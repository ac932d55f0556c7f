// Errors that several calls answer with, worded once.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"

namespace uaqf::rpc {

inline absl::Status NoSuchJob(absl::string_view id) {
  return wire::Error(
      absl::StatusCode::kNotFound, "JOB_NOT_FOUND",
      absl::StrCat("got ", wire::JobName(id), ", expected a job that exists; `uaqf jobs list` shows them"));
}

inline absl::Status JobTwice(absl::string_view id) {
  return wire::Error(absl::StatusCode::kInvalidArgument, "DUPLICATE_JOB",
                     absl::StrCat("got ", wire::JobName(id), " twice, expected each job once"));
}

inline absl::Status NoSuchPromptSet(absl::string_view digest) {
  return wire::Error(absl::StatusCode::kNotFound, "PROMPT_SET_NOT_FOUND",
                     absl::StrCat("got ", wire::PromptSetName(digest),
                                  ", expected a stored prompt set; `uaqf prompts list` shows them"));
}

inline absl::Status NoSuchProfile(absl::string_view name) {
  return wire::Error(
      absl::StatusCode::kNotFound, "PROFILE_NOT_FOUND",
      absl::StrCat("got ", name, ", expected a built-in or stored profile; `uaqf profiles list` shows them"));
}

inline absl::Status Stopping() {
  return wire::Error(absl::StatusCode::kUnavailable, "STOPPING", "the coordinator stops; connect again");
}

// The executor, or the loop's mailbox, is full.
inline absl::Status Overloaded() {
  return wire::WithRetryDelay(
      wire::Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many requests wait now; try again"),
      absl::Seconds(1));
}

// What a caller sees of a failed transaction: always retryable, since nothing of it was written.
inline absl::Status StoreUnavailable(const absl::Status& cause) {
  return wire::WithRetryDelay(wire::Error(absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE",
                                          absl::StrCat("the store cannot be written now (", cause.message(),
                                                       "); it is tried again every second")),
                              absl::Seconds(2));
}

// A store error that says nothing to a client, as the `missing` one that does; others as they are.
inline absl::Status OrMissing(const absl::Status& status, const absl::Status& missing) {
  return absl::IsNotFound(status) ? missing : status;
}

}  // namespace uaqf::rpc
