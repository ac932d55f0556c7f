// What a person types for a job, a profile or a prompt set, into its full resource name.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/client.h"

namespace uaqf::client {

// The one of `names` ("jobs/k7f2m9", all of one collection) that `wanted` stands for: a full name, an id, or the
// beginning of just one id ("jobs/k7f", "k7f"). A whole id wins over longer ids that begin with it. `collection` is
// "jobs" or "profiles"; `list_command` shows what there is. NotFound: none. InvalidArgument: empty, or several
// (they are named).
[[nodiscard]] absl::StatusOr<std::string> PickName(absl::string_view wanted, absl::string_view collection,
                                                   const std::vector<std::string>& names,
                                                   absl::string_view list_command);

// The one of `sets` (newest first) that `wanted` stands for: a full name, a label (the newest of that label), or the
// beginning of just one digest (4 digits or more). Only sets of `kind` count. NotFound: none; says so when a set of the
// other kind matches. InvalidArgument: several digests begin so.
[[nodiscard]] absl::StatusOr<v1::PromptSet> PickPromptSet(absl::string_view wanted, v1::PromptSetKind kind,
                                                          const std::vector<v1::PromptSet>& sets);

// PickName over what the coordinator has. A full id costs one call, a prefix two.
[[nodiscard]] absl::StatusOr<std::string> ResolveJob(Client& client, const std::string& wanted);
[[nodiscard]] absl::StatusOr<std::string> ResolveProfile(Client& client, const std::string& wanted);

// A set and how it came about.
struct ResolvedSet {
  v1::PromptSet set;
  // It was uploaded now; otherwise it was on the server.
  bool uploaded = false;
};

// PickPromptSet over what the coordinator has; a `wanted` that holds a slash or that no set answers to is taken as a
// file and uploaded. Beside the errors of both: NotFound, when there is neither a set nor a file.
[[nodiscard]] absl::StatusOr<ResolvedSet> ResolvePromptSet(Client& client, const std::string& wanted,
                                                           v1::PromptSetKind kind);

// The set of `prompts`: the one that the coordinator has, whatever its label, else uploaded under `display_name`.
[[nodiscard]] absl::StatusOr<ResolvedSet> Upload(Client& client, const std::string& display_name,
                                                 v1::PromptSetKind kind, const std::vector<v1::Prompt>& prompts,
                                                 const std::vector<v1::PromptSource>& sources = {});

// "prompts   40 in 5 categories, already on the server as demo (sha256 3f9c…)", without a line end.
std::string SetLine(const ResolvedSet& resolved);

// "prompts" or "text".
std::string KindName(v1::PromptSetKind kind);
// The first 12 hex digits of a set's digest: what is shown, and enough to name it by.
std::string ShortDigest(const v1::PromptSet& set);

}  // namespace uaqf::client
