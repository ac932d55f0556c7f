#include "proto/wire/names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/wire/status.h"

namespace uaqf::wire {
namespace {

// Enough of what was got to recognise it in a log, and no more.
std::string Shown(absl::string_view text) {
  constexpr size_t kShown = 80;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShown)), text.size() > kShown ? "…\"" : "\"");
}

bool IsLowerId(absl::string_view id, size_t longest) {
  return !id.empty() && id.size() <= longest && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  });
}

bool IsDigest(absl::string_view id) {
  return id.size() == 64 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

template <typename Predicate>
absl::StatusOr<std::string> Parse(absl::string_view name, absl::string_view collection, absl::string_view expected,
                                  Predicate valid) {
  absl::string_view id = name;
  const bool prefixed =
      absl::StartsWith(name, collection) && name.size() > collection.size() && name[collection.size()] == '/';
  if (prefixed) id.remove_prefix(collection.size() + 1);
  if (prefixed && valid(id)) return std::string(id);
  return Error(absl::StatusCode::kInvalidArgument, "INVALID_NAME",
               absl::StrCat("got the name ", Shown(name), ", expected ", collection, "/ and ", expected));
}

}  // namespace

absl::StatusOr<std::string> ParseJobName(absl::string_view name) {
  return Parse(name, "jobs", "1 to 64 characters of [a-z0-9-]", [](auto id) { return IsLowerId(id, 64); });
}
std::string JobName(absl::string_view id) { return absl::StrCat("jobs/", id); }

absl::StatusOr<std::string> ParsePromptSetName(absl::string_view name) {
  return Parse(name, "promptSets", "a SHA-256 of 64 lower-case hex digits", [](auto id) { return IsDigest(id); });
}
std::string PromptSetName(absl::string_view digest) { return absl::StrCat("promptSets/", digest); }

absl::StatusOr<std::string> ParseProfileName(absl::string_view name) {
  return Parse(name, "profiles", "1 to 64 characters of [a-z0-9-]", [](auto id) { return IsLowerId(id, 64); });
}
std::string ProfileName(absl::string_view id) { return absl::StrCat("profiles/", id); }

absl::StatusOr<std::string> ParseWorkerName(absl::string_view name) {
  return Parse(name, "workers", "1 to 128 characters of [A-Za-z0-9._-]", [](auto id) { return IsPlainId(id); });
}
std::string WorkerName(absl::string_view id) { return absl::StrCat("workers/", id); }

bool IsPlainId(absl::string_view id) {
  return !id.empty() && id.size() <= 128 && id[0] != '.' && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

static bool IsOption(absl::string_view option) {
  return !option.empty() && std::all_of(option.begin(), option.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == '=';
  });
}

bool IsVariantName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, ':');
  return name.size() <= 256 && IsPlainId(parts[0]) && std::all_of(parts.begin() + 1, parts.end(), IsOption);
}

std::string HostedVariantName(absl::string_view name) { return std::string(name.substr(0, name.find('#'))); }

bool IsModelId(absl::string_view id) {
  constexpr absl::string_view kSynthetic = "synthetic:";
  return IsPlainId(id.substr(0, kSynthetic.size()) == kSynthetic ? id.substr(kSynthetic.size()) : id);
}

}  // namespace uaqf::wire
