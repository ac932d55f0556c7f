#include "client/names.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/failure.h"
#include "client/figures.h"
#include "client/prompt_file.h"
#include "client/utf8.h"
#include "proto/wire/digest.h"
#include "proto/wire/names.h"

namespace uaqf::client {
namespace {

constexpr std::size_t kShortestDigestPrefix = 4;
constexpr std::size_t kNamedCandidates = 8;

std::string Named(const std::vector<std::string>& candidates) {
  const std::size_t all = candidates.size();
  const auto end = candidates.begin() + static_cast<std::ptrdiff_t>(std::min(all, kNamedCandidates));
  const std::string text = absl::StrJoin(candidates.begin(), end, ", ");
  return all > kNamedCandidates ? absl::StrCat(text, " and ", all - kNamedCandidates, " more") : text;
}

absl::string_view IdOf(absl::string_view name) { return name.substr(name.find('/') + 1); }

bool LooksLikeDigest(absl::string_view text) {
  return text.size() >= kShortestDigestPrefix && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

v1::PromptSetKind Other(v1::PromptSetKind kind) {
  return kind == v1::PROMPT_SET_KIND_TEXT ? v1::PROMPT_SET_KIND_PROMPTS : v1::PROMPT_SET_KIND_TEXT;
}

std::vector<v1::PromptSet> Matches(absl::string_view wanted, v1::PromptSetKind kind,
                                   const std::vector<v1::PromptSet>& sets) {
  for (const v1::PromptSet& set : sets) {
    if (set.kind() == kind && set.display_name() == wanted) return {set};
  }
  std::vector<v1::PromptSet> found;
  absl::string_view digest = wanted;
  const bool full_name = absl::ConsumePrefix(&digest, "promptSets/");
  // Some editors and listings cut a digest with an ellipsis; people paste it back.
  absl::ConsumeSuffix(&digest, "…");
  if (!LooksLikeDigest(digest) && !full_name) return found;
  std::copy_if(sets.begin(), sets.end(), std::back_inserter(found), [&](const v1::PromptSet& set) {
    return set.kind() == kind && absl::StartsWith(IdOf(set.name()), digest);
  });
  return found;
}

}  // namespace

absl::StatusOr<std::string> PickName(absl::string_view wanted, absl::string_view collection,
                                     const std::vector<std::string>& names, absl::string_view list_command) {
  absl::string_view id = wanted;
  absl::ConsumePrefix(&id, absl::StrCat(collection, "/"));
  if (id.empty()) {
    return UsageError(absl::StrCat("got an empty name, expected one of ", collection, "\nsee: ", list_command));
  }
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (IdOf(name) == id) return name;
    if (absl::StartsWith(IdOf(name), id)) found.push_back(name);
  }
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no ", collection, "/", id, ", and none that begins so\nsee: ", list_command));
  }
  return UsageError(absl::StrCat("\"", id, "\" is the beginning of ", found.size(), " ", collection,
                                 ", expected of one\nwhich? ", Named(found)));
}

absl::StatusOr<v1::PromptSet> PickPromptSet(absl::string_view wanted, v1::PromptSetKind kind,
                                            const std::vector<v1::PromptSet>& sets) {
  const std::vector<v1::PromptSet> found = Matches(wanted, kind, sets);
  if (found.size() == 1) return found[0];
  if (found.size() > 1) {
    std::vector<std::string> digests;
    for (const v1::PromptSet& set : found) digests.push_back(absl::StrCat(ShortDigest(set), " ", set.display_name()));
    return UsageError(absl::StrCat("\"", wanted, "\" is the beginning of ", found.size(),
                                   " digests, expected of one\nwhich? ", Named(digests)));
  }
  if (!Matches(wanted, Other(kind), sets).empty()) {
    return absl::NotFoundError(absl::StrCat("\"", wanted, "\" is a set of kind ", KindName(Other(kind)),
                                            ", expected one of kind ", KindName(kind), "\nsee: uaqf prompts list"));
  }
  return absl::NotFoundError(absl::StrCat("no set of kind ", KindName(kind), " and no file named \"", wanted,
                                          "\"\nsee: uaqf prompts list    or upload one: uaqf prompts import FILE",
                                          kind == v1::PROMPT_SET_KIND_TEXT ? " --kind text" : ""));
}

absl::StatusOr<std::string> ResolveJob(Client& client, const std::string& wanted) {
  absl::string_view id = wanted;
  absl::ConsumePrefix(&id, "jobs/");
  if (!id.empty()) {
    const auto exact = client.GetJob(absl::StrCat("jobs/", id));
    if (exact.ok()) return exact->name();
    // An id of characters that no id has is told as not found, like any other.
    if (!absl::IsNotFound(exact.status()) && !absl::IsInvalidArgument(exact.status())) return exact.status();
  }
  const auto jobs = client.ListJobs();
  if (!jobs.ok()) return jobs.status();
  std::vector<std::string> names;
  for (const v1::Job& job : jobs->jobs()) names.push_back(job.name());
  return PickName(wanted, "jobs", names, "uaqf jobs list");
}

absl::StatusOr<std::string> ResolveProfile(Client& client, const std::string& wanted) {
  const auto profiles = client.ListProfiles();
  if (!profiles.ok()) return profiles.status();
  std::vector<std::string> names;
  for (const v1::Profile& profile : profiles->profiles()) names.push_back(profile.name());
  auto picked = PickName(wanted, "profiles", names, "uaqf profiles list");
  if (picked.ok() || !absl::IsNotFound(picked.status())) return picked;
  std::vector<std::string> ids;
  for (const std::string& name : names) ids.emplace_back(IdOf(name));
  return absl::NotFoundError(absl::StrCat("no profile \"", wanted, "\"\nthere are: ", absl::StrJoin(ids, ", ")));
}

absl::StatusOr<ResolvedSet> ResolvePromptSet(Client& client, const std::string& wanted, v1::PromptSetKind kind) {
  const bool path = wanted.find('/') != std::string::npos && !absl::StartsWith(wanted, "promptSets/");
  absl::Status none = absl::OkStatus();
  if (!path) {
    const auto sets = client.ListPromptSets();
    if (!sets.ok()) return sets.status();
    auto picked = PickPromptSet(wanted, kind, {sets->prompt_sets().begin(), sets->prompt_sets().end()});
    if (picked.ok()) return ResolvedSet{*std::move(picked), false};
    none = picked.status();
    std::error_code ignored;
    if (!absl::IsNotFound(none) || !std::filesystem::is_regular_file(wanted, ignored)) return none;
  }
  const auto bytes = ReadWholeFile(wanted);
  if (!bytes.ok()) return bytes.status();
  const auto prompts = kind == v1::PROMPT_SET_KIND_TEXT ? CutText(*bytes, wanted) : ParsePrompts(*bytes, wanted);
  if (!prompts.ok()) return prompts.status();
  return Upload(client, std::filesystem::path(wanted).stem().string(), kind, *prompts);
}

absl::StatusOr<ResolvedSet> Upload(Client& client, const std::string& display_name, v1::PromptSetKind kind,
                                   const std::vector<v1::Prompt>& prompts,
                                   const std::vector<v1::PromptSource>& sources) {
  wire::PromptSetDigest digest(kind);
  for (const v1::Prompt& prompt : prompts) digest.Add(prompt);
  auto known = client.GetPromptSet(wire::PromptSetName(digest.Finish()));
  if (known.ok()) return ResolvedSet{*std::move(known), false};
  if (!absl::IsNotFound(known.status())) return known.status();
  auto set = client.CreatePromptSet(display_name, kind, prompts, sources);
  if (!set.ok()) return set.status();
  return ResolvedSet{*std::move(set), true};
}

std::string SetLine(const ResolvedSet& resolved) {
  const v1::PromptSet& set = resolved.set;
  const bool text = set.kind() == v1::PROMPT_SET_KIND_TEXT;
  std::string line =
      text ? absl::StrCat("text      ", Bytes(set.size_bytes())) : absl::StrCat("prompts   ", set.prompt_count());
  if (!set.categories().empty()) absl::StrAppend(&line, " in ", Count(set.categories_size(), "category"));
  return Printable(absl::StrCat(line, resolved.uploaded ? ", uploaded as " : ", already on the server as ",
                                set.display_name(), " (sha256 ", ShortDigest(set), "…)"));
}

std::string KindName(v1::PromptSetKind kind) {
  switch (kind) {
    case v1::PROMPT_SET_KIND_PROMPTS:
      return "prompts";
    case v1::PROMPT_SET_KIND_TEXT:
      return "text";
    default:
      return "unknown";
  }
}

std::string ShortDigest(const v1::PromptSet& set) { return std::string(IdOf(set.name()).substr(0, 12)); }

}  // namespace uaqf::client
