#include "worker/evaluate/tasks/sentences.h"

#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {

size_t CountSentences(std::string_view text) {
  static const Regex boundary = Regex::Known(R"([.!?]+["'”’)\]*_]*(?=\s|\z))");
  // Those that stand before a name or go on, and initials; then those that may also end a sentence.
  static const Regex always = Regex::Known(
      R"((?:\b(?i:mr|mrs|ms|dr|prof|rev|hon|st|gen|col|sen|rep|gov|vs|e\.g|i\.e)|(?<![\p{L}\p{N}])[A-HJ-Z])\.\z)");
  static const Regex sometimes = Regex::Known(
      R"(\b(?i:jr|sr|etc|fig|approx|dept|est|corp|inc|ltd|co|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|a\.m|p\.m|)"
      R"(u\.s)\.\z)");
  static const Regex lower_next = Regex::Known(R"(\A\s*\p{Ll})");
  size_t count = 0;
  size_t begin = 0;
  for (const Regex::Match& match : boundary.FindAll(text)) {
    const auto at = static_cast<size_t>(match.whole.data() - text.data());
    const size_t stop = at + match.whole.size();
    const std::string_view before = text.substr(begin, at + 1 - begin);
    const bool point = match.whole.front() == '.';
    const bool dots = match.whole.starts_with("..");
    const bool lower = lower_next.Search(text.substr(stop));
    if (point && !dots && always.Search(before) && stop < text.size()) continue;
    if (point && (dots || sometimes.Search(before)) && lower) continue;
    if (!Strip(text.substr(begin, stop - begin)).empty()) ++count;
    begin = stop;
  }
  return Strip(text.substr(begin)).empty() ? count : count + 1;
}

std::vector<std::string> WordTokens(std::string_view text) {
  static const Regex token = Regex::Known(
      R"((?:(?!(?i:n't)\b)[\p{L}\p{N}\p{M}_./–]|-(?!-)|'(?=\p{L})(?!(?i:s|ll|re|ve|d|m)\b))+(?<![.])|(?i:n't)\b|)"
      R"('(?i:s|ll|re|ve|d|m)\b|\S)");
  std::vector<std::string> tokens;
  for (const Regex::Match& match : token.FindAll(text)) tokens.emplace_back(match.whole);
  return tokens;
}

}  // namespace uaqf::evaluate
