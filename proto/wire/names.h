// Resource names: "jobs/{job}", "promptSets/{digest}", "profiles/{profile}", "workers/{worker}".
//
// A parse function returns the id behind the slash, or INVALID_ARGUMENT (INVALID_NAME) that says what was got and
// what was expected. Ids never hold a slash, so they are safe as keys and in file names.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace uaqf::wire {

// 1 to 64 characters of [a-z0-9-].
[[nodiscard]] absl::StatusOr<std::string> ParseJobName(absl::string_view name);
std::string JobName(absl::string_view id);

// 64 characters of [0-9a-f].
[[nodiscard]] absl::StatusOr<std::string> ParsePromptSetName(absl::string_view name);
std::string PromptSetName(absl::string_view digest);

// 1 to 64 characters of [a-z0-9-].
[[nodiscard]] absl::StatusOr<std::string> ParseProfileName(absl::string_view name);
std::string ProfileName(absl::string_view id);

// 1 to 128 characters of [A-Za-z0-9._-].
[[nodiscard]] absl::StatusOr<std::string> ParseWorkerName(absl::string_view name);
std::string WorkerName(absl::string_view id);

// 1 to 128 characters of [A-Za-z0-9._-], not beginning with a dot: ids of prompts.
bool IsPlainId(absl::string_view id);
// The same, or "synthetic:" and the same: ids of models.
bool IsModelId(absl::string_view id);
// A plain id and options, 256 characters in all: "rtn-w4-g64", "gptq-w4:sym=1:damp=0.05", "checkpoint:NAME". No '#':
// that is for what the coordinator has hosted once more.
bool IsVariantName(absl::string_view name);
// What "fp16#2", a hosting of a variant beside another one, hosts: "fp16". Other names are returned as they are.
std::string HostedVariantName(absl::string_view name);

}  // namespace uaqf::wire
