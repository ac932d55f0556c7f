#include "server/ranking/comparability.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace uaqf::ranking {
namespace {

// What a trait matters for across models.
enum class Across { kAll, kLosses, kNothing };

struct TraitText {
  Trait trait;
  const char* name;
  const char* why;
  Across across = Across::kAll;
};

constexpr std::array<TraitText, 23> kTraits = {{
    {Trait::kPrompts, "prompt set", "other prompts take other times"},
    {Trait::kText, "text", "losses on another text are other losses", Across::kLosses},
    {Trait::kTasks, "task set", "scores of other tasks are other scores", Across::kNothing},
    {Trait::kArticles, "articles", "perplexities of other articles are other perplexities", Across::kNothing},
    {Trait::kContext, "tokens of a window", "a loss depends on how much of the text the model sees", Across::kLosses},
    {Trait::kInputTokens, "input tokens", "inputs of another length take other times"},
    {Trait::kProseSeed, "seed", "inputs are filled up with other prose"},
    {Trait::kOutputLength, "output length", "generations of other lengths take other times"},
    {Trait::kMostTokens, "most output tokens", "generations of other lengths take other times"},
    {Trait::kChat, "chat template", "the model sees other inputs"},
    {Trait::kWarmUps, "warm-up generations", "chunks begin from another state of the device"},
    {Trait::kClearCache, "clearing of caches", "chunks begin from another state of the device"},
    {Trait::kAgreementTokens, "tokens of an output", "longer outputs have more places to differ", Across::kNothing},
    {Trait::kAgreementBatches, "batches of outputs", "other kernels compute other batches", Across::kNothing},
    {Trait::kModel, "model digest", "it is another checkpoint", Across::kNothing},
    {Trait::kTokenizer, "tokenizer digest", "a token is another amount of text", Across::kNothing},
    {Trait::kDevice, "device", "times of one device say nothing of another"},
    {Trait::kBackend, "backend", "other kernels compute"},
    {Trait::kThreads, "threads", "more threads are faster"},
    {Trait::kIsa, "instruction set", "other kernels compute"},
    {Trait::kDriver, "driver", "a driver has its own speed"},
    {Trait::kCuda, "CUDA version", "a runtime has its own speed"},
    {Trait::kBuild, "worker build", "other code computes"},
}};

// Digests are told apart by their beginnings.
constexpr std::size_t kLongestShown = 64;
constexpr std::size_t kDigestShown = 12;

std::string Shown(const std::string& value) {
  if (value.empty()) return "none";
  const bool digest = value.size() == 64 && value.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (digest) return value.substr(0, kDigestShown);
  return value.size() > kLongestShown ? absl::StrCat(value.substr(0, kLongestShown), "...") : value;
}

std::string Shown(const std::set<std::string>& values) {
  if (values.empty()) return "not known";
  return absl::StrJoin(values, " and ", [](std::string* out, const std::string& value) { *out += Shown(value); });
}

const std::set<std::string>& ValuesOf(const JobIdentity& job, Trait trait) {
  static const auto& none = *new std::set<std::string>;
  const auto found = job.traits.find(trait);
  return found == job.traits.end() ? none : found->second;
}

// Whether the trait must be equal.
bool Matters(Trait trait, Scope scope, const std::set<std::string>& a, const std::set<std::string>& b) {
  if (scope == Scope::kOutputs) {
    return trait == Trait::kPrompts || trait == Trait::kInputTokens || trait == Trait::kProseSeed ||
           trait == Trait::kChat || trait == Trait::kAgreementTokens || trait == Trait::kModel ||
           trait == Trait::kTokenizer;
  }
  // What one job does not generate again is not compared.
  const bool agreement = trait == Trait::kAgreementTokens || trait == Trait::kAgreementBatches;
  const auto none = [](const std::set<std::string>& values) { return values.empty() || values.count("") > 0; };
  return !agreement || (!none(a) && !none(b));
}

// Where the kinds of the jobs are in the way.
std::vector<Mismatch> ImportedMismatch(const JobIdentity& one, const JobIdentity& other) {
  if (!one.imported && !other.imported) return {};
  const auto kind = [](const JobIdentity& job) { return job.imported ? "imported" : "measured"; };
  return {{"kind", kind(one), kind(other), "published figures have no records that could be paired"}};
}

void AddMismatch(const TraitText& text, const JobIdentity& one, const JobIdentity& other,
                 std::vector<Mismatch>* mismatches) {
  const std::set<std::string>&a = ValuesOf(one, text.trait), &b = ValuesOf(other, text.trait);
  if (!a.empty() && a == b) return;
  const char* why = a.empty() || b.empty() ? "no chunk was accepted that would tell" : text.why;
  mismatches->push_back({text.name, Shown(a), Shown(b), why});
}

using Configurations = std::map<std::string, std::set<std::string>>;

void AddMismatches(const Configurations& one, const Configurations& other, std::vector<Mismatch>* mismatches) {
  for (const auto& [variant, digests] : one) {
    const auto same = other.find(variant);
    if (same == other.end() || same->second == digests) continue;
    mismatches->push_back({absl::StrCat("configuration of ", variant), Shown(digests), Shown(same->second),
                           "under one name they are two variants"});
  }
}

bool MeasuresLosses(const JobIdentity& job) {
  const std::set<std::string>& texts = ValuesOf(job, Trait::kText);
  return !texts.empty() && texts != std::set<std::string>{""};
}

}  // namespace

std::vector<Mismatch> FindMismatches(const JobIdentity& one, const JobIdentity& other, Scope scope) {
  std::vector<Mismatch> mismatches = ImportedMismatch(one, other);
  if (!mismatches.empty()) return mismatches;
  for (const TraitText& text : kTraits) {
    if (Matters(text.trait, scope, ValuesOf(one, text.trait), ValuesOf(other, text.trait))) {
      AddMismatch(text, one, other, &mismatches);
    }
  }
  if (scope == Scope::kOutputs) {
    if (ValuesOf(one, Trait::kAgreementTokens) == std::set<std::string>{""}) {
      mismatches.push_back({"outputs", "none", "none", "measure them with jobs submit --agreement"});
    }
    return mismatches;
  }
  AddMismatches(one.configurations, other.configurations, &mismatches);
  return mismatches;
}

bool OfOneModel(const JobIdentity& one, const JobIdentity& other) {
  const std::set<std::string>&a = ValuesOf(one, Trait::kModel), &b = ValuesOf(other, Trait::kModel);
  return std::any_of(a.begin(), a.end(), [&b](const std::string& digest) { return b.count(digest) > 0; });
}

std::vector<Mismatch> FindMismatchesAcrossModels(const JobIdentity& one, const JobIdentity& other) {
  std::vector<Mismatch> mismatches = ImportedMismatch(one, other);
  if (!mismatches.empty()) return mismatches;
  const bool losses = MeasuresLosses(one) && MeasuresLosses(other);
  for (const TraitText& text : kTraits) {
    // Of a model that is not known, nobody can tell that it is another.
    const bool unknown_model =
        text.trait == Trait::kModel && (ValuesOf(one, text.trait).empty() || ValuesOf(other, text.trait).empty());
    const bool matters = text.across == Across::kAll || (text.across == Across::kLosses && losses) || unknown_model;
    if (matters) AddMismatch(text, one, other, &mismatches);
  }
  AddMismatches(one.recipes, other.recipes, &mismatches);
  return mismatches;
}

std::string MismatchText(const JobIdentity& one, const JobIdentity& other, const std::vector<Mismatch>& mismatches) {
  std::string text = absl::StrFormat("%s and %s cannot be compared:", one.job, other.job);
  for (const Mismatch& m : mismatches) {
    absl::StrAppendFormat(&text, "\n%s: %s and %s; %s", m.what, m.one, m.other, m.why);
  }
  return text;
}

}  // namespace uaqf::ranking
