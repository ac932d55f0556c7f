#include "worker/evaluate/tasks/trivia_qa.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {
namespace {

bool MatchesAny(std::string_view answer, const std::vector<std::string>& aliases,
                std::string (*normalize)(std::string_view)) {
  const std::string given = normalize(answer);
  if (given.empty()) return false;
  return std::any_of(aliases.begin(), aliases.end(),
                     [&](const std::string& alias) { return normalize(alias) == given; });
}

}  // namespace

std::string NormalizeTriviaOfficial(std::string_view text) {
  static const Regex punctuation = Regex::Known(R"([!-/:-@\[-`{-~‘’´])");
  static const Regex article = Regex::Known(R"(\b(a|an|the)\b)");
  const std::string bare = article.Replace(punctuation.Replace(Lower(text), " "), " ");
  return absl::StrJoin(Words(bare), " ", [](std::string* out, std::string_view word) { out->append(word); });
}

std::string NormalizeTriviaLmEval(std::string_view text) {
  static const Regex punctuation = Regex::Known(R"([!-/:-@\[-`{-~])");
  return punctuation.Replace(Lower(text), "");
}

TriviaVerdict ScoreTriviaQa(std::string_view answer, const std::vector<std::string>& aliases) {
  const std::string_view given = Strip(answer);
  return {MatchesAny(given, aliases, &NormalizeTriviaOfficial), MatchesAny(given, aliases, &NormalizeTriviaLmEval)};
}

}  // namespace uaqf::evaluate
