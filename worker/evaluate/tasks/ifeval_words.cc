// IFEval's checks of words, letters, case, language and length.
#include <algorithm>

#include "worker/evaluate/tasks/ifeval_checks.h"
#include "worker/evaluate/tasks/language.h"
#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/sentences.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {
namespace {

bool Compares(const Instruction& instruction, size_t counted) {
  const auto count = static_cast<int64_t>(counted);
  return instruction.relation == "less than" ? count < instruction.count : count >= instruction.count;
}

// Matches of an expression that came with the data; MakeInstruction has compiled it before.
size_t CountMatches(std::string_view text, std::string_view expression) {
  auto compiled = Regex::Create(expression, Regex::kIgnoreCase);
  return compiled.ok() ? compiled->FindAll(text).size() : 0;
}

// Where nothing can be told, as in a text without letters, the language counts as right, as it does in the original.
bool IsLanguage(std::string_view text, std::string_view language) {
  const std::string detected = DetectLanguage(text);
  return detected.empty() || detected == language;
}

}  // namespace

bool HasKeywords(const Instruction& instruction, std::string_view text) {
  return std::all_of(instruction.words.begin(), instruction.words.end(),
                     [text](const std::string& word) { return CountMatches(text, word) > 0; });
}

bool KeywordFrequency(const Instruction& instruction, std::string_view text) {
  return Compares(instruction, CountMatches(text, Strip(instruction.text)));
}

bool LacksForbiddenWords(const Instruction& instruction, std::string_view text) {
  return std::none_of(instruction.words.begin(), instruction.words.end(),
                      [text](const std::string& word) { return CountMatches(text, "\\b" + word + "\\b") > 0; });
}

bool LetterFrequency(const Instruction& instruction, std::string_view text) {
  const Regex letter = Regex::Known(EscapeRegex(Lower(Strip(instruction.text))));
  return Compares(instruction, letter.FindAll(Lower(text)).size());
}

bool CapitalWordFrequency(const Instruction& instruction, std::string_view text) {
  const std::vector<std::string> tokens = WordTokens(text);
  return Compares(instruction, static_cast<size_t>(std::count_if(tokens.begin(), tokens.end(),
                                                                 [](const std::string& t) { return IsUpper(t); })));
}

bool InLanguage(const Instruction& instruction, std::string_view text) { return IsLanguage(text, instruction.text); }

bool EnglishCapital(const Instruction&, std::string_view text) { return IsUpper(text) && IsLanguage(text, "en"); }

bool EnglishLowercase(const Instruction&, std::string_view text) { return IsLower(text) && IsLanguage(text, "en"); }

bool SentenceCount(const Instruction& instruction, std::string_view text) {
  return Compares(instruction, CountSentences(text));
}

bool WordCount(const Instruction& instruction, std::string_view text) {
  static const Regex word = Regex::Known(R"([\w\p{M}]+)");
  return Compares(instruction, word.FindAll(text).size());
}

bool ParagraphCount(const Instruction& instruction, std::string_view text) {
  static const Regex divider = Regex::Known(R"(\s?\*\*\*\s?)");
  const auto paragraphs = divider.Split(text);
  auto count = static_cast<int64_t>(paragraphs.size());
  for (size_t i = 0; i < paragraphs.size(); ++i) {
    if (!Strip(paragraphs[i]).empty()) continue;
    if (i != 0 && i + 1 != paragraphs.size()) return false;
    --count;
  }
  return count == instruction.count;
}

bool NthParagraphFirstWord(const Instruction& instruction, std::string_view text) {
  static const Regex divider = Regex::Known("\n\n");
  const auto paragraphs = divider.Split(text);
  const auto blank = std::count_if(paragraphs.begin(), paragraphs.end(),
                                   [](std::string_view paragraph) { return Strip(paragraph).empty(); });
  const int64_t count = static_cast<int64_t>(paragraphs.size()) - blank;
  if (instruction.position > count) return false;
  const auto words = Words(paragraphs[static_cast<size_t>(instruction.position - 1)]);
  if (words.empty()) return false;
  std::string_view word = words.front();
  for (const char quote : {'\'', '"'}) word.remove_prefix(std::min(word.find_first_not_of(quote), word.size()));
  word = word.substr(0, word.find_first_of(".,?!'\""));
  return count == instruction.count && Lower(word) == Lower(instruction.text);
}

}  // namespace uaqf::evaluate
