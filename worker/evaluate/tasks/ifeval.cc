#include "worker/evaluate/tasks/ifeval.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "worker/evaluate/tasks/ifeval_checks.h"
#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {
namespace {

// What an instruction is called, the published names of its arguments (nullptr: it has none), and its check.
struct Kind {
  const char* id;
  const char* relation;
  const char* count;
  const char* position;
  const char* text;
  const char* words;
  InstructionCheck check;
};

constexpr auto kKinds = std::to_array<Kind>({
    {"change_case:capital_word_frequency", "capital_relation", "capital_frequency", nullptr, nullptr, nullptr,
     &CapitalWordFrequency},
    {"change_case:english_capital", nullptr, nullptr, nullptr, nullptr, nullptr, &EnglishCapital},
    {"change_case:english_lowercase", nullptr, nullptr, nullptr, nullptr, nullptr, &EnglishLowercase},
    {"combination:repeat_prompt", nullptr, nullptr, nullptr, "prompt_to_repeat", nullptr, &RepeatsPrompt},
    {"combination:two_responses", nullptr, nullptr, nullptr, nullptr, nullptr, &TwoResponses},
    {"detectable_content:number_placeholders", nullptr, "num_placeholders", nullptr, nullptr, nullptr,
     &PlaceholderCount},
    {"detectable_content:postscript", nullptr, nullptr, nullptr, "postscript_marker", nullptr, &HasPostscript},
    {"detectable_format:constrained_response", nullptr, nullptr, nullptr, nullptr, nullptr, &ConstrainedResponse},
    {"detectable_format:json_format", nullptr, nullptr, nullptr, nullptr, nullptr, &IsJson},
    {"detectable_format:multiple_sections", nullptr, "num_sections", nullptr, "section_spliter", nullptr,
     &SectionCount},
    {"detectable_format:number_bullet_lists", nullptr, "num_bullets", nullptr, nullptr, nullptr, &BulletCount},
    {"detectable_format:number_highlighted_sections", nullptr, "num_highlights", nullptr, nullptr, nullptr,
     &HighlightCount},
    {"detectable_format:title", nullptr, nullptr, nullptr, nullptr, nullptr, &HasTitle},
    {"keywords:existence", nullptr, nullptr, nullptr, nullptr, "keywords", &HasKeywords},
    {"keywords:forbidden_words", nullptr, nullptr, nullptr, nullptr, "forbidden_words", &LacksForbiddenWords},
    {"keywords:frequency", "relation", "frequency", nullptr, "keyword", nullptr, &KeywordFrequency},
    {"keywords:letter_frequency", "let_relation", "let_frequency", nullptr, "letter", nullptr, &LetterFrequency},
    {"language:response_language", nullptr, nullptr, nullptr, "language", nullptr, &InLanguage},
    {"length_constraints:nth_paragraph_first_word", nullptr, "num_paragraphs", "nth_paragraph", "first_word", nullptr,
     &NthParagraphFirstWord},
    {"length_constraints:number_paragraphs", nullptr, "num_paragraphs", nullptr, nullptr, nullptr, &ParagraphCount},
    {"length_constraints:number_sentences", "relation", "num_sentences", nullptr, nullptr, nullptr, &SentenceCount},
    {"length_constraints:number_words", "relation", "num_words", nullptr, nullptr, nullptr, &WordCount},
    {"punctuation:no_comma", nullptr, nullptr, nullptr, nullptr, nullptr, &LacksComma},
    {"startend:end_checker", nullptr, nullptr, nullptr, "end_phrase", nullptr, &EndsWithPhrase},
    {"startend:quotation", nullptr, nullptr, nullptr, nullptr, nullptr, &IsQuoted},
});

const Kind* FindKind(std::string_view id) {
  const auto* at = std::find_if(kKinds.begin(), kKinds.end(), [id](const Kind& kind) { return id == kind.id; });
  return at == kKinds.end() ? nullptr : at;
}

// Sets `out` to the argument `name`, if the kind has one.
template <typename T>
absl::Status Take(const Kind& kind, const InstructionArguments& arguments, const char* name, const char* type, T& out) {
  if (name == nullptr) return absl::OkStatus();
  const auto at = arguments.find(name);
  if (at == arguments.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("instruction ", kind.id, " without \"", name, "\": expected ", type));
  }
  const T* value = std::get_if<T>(&at->second);
  if (value == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" of instruction ", kind.id, ": expected ", type));
  }
  out = *value;
  return absl::OkStatus();
}

absl::Status CheckRanges(const Kind& kind, const Instruction& instruction) {
  const auto wrong = [&kind](const char* name, const std::string& got, const char* expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" of instruction ", kind.id, " is ", got, ": expected ", expected));
  };
  if (kind.count != nullptr && (instruction.count < 0 || instruction.count > 1'000'000)) {
    return wrong(kind.count, absl::StrCat(instruction.count), "0 to 1000000");
  }
  if (kind.position != nullptr && instruction.position < 1) {
    return wrong(kind.position, absl::StrCat(instruction.position), "1 or more");
  }
  if (kind.relation != nullptr && instruction.relation != "less than" && instruction.relation != "at least") {
    return wrong(kind.relation, "\"" + instruction.relation + "\"", "\"less than\" or \"at least\"");
  }
  if (kind.text != nullptr && Strip(instruction.text).empty()) return wrong(kind.text, "empty", "a text");
  if (kind.words != nullptr && instruction.words.empty()) return wrong(kind.words, "empty", "at least one word");
  return absl::OkStatus();
}

// The published checks take keywords, and the word between sections, as expressions.
absl::Status CheckExpressions(const Kind& kind, const Instruction& instruction) {
  std::vector<std::string> expressions = instruction.words;
  if (kind.check == &KeywordFrequency || kind.check == &SectionCount || kind.check == &HasPostscript) {
    expressions.push_back(instruction.text);
  }
  for (const std::string& expression : expressions) {
    if (auto compiled = Regex::Create(expression); !compiled.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("instruction ", kind.id, ": ", compiled.status().message()));
    }
  }
  return absl::OkStatus();
}

bool Holds(InstructionCheck check, const Instruction& instruction, std::string_view text) {
  return !Strip(text).empty() && check(instruction, text);
}

// Lines [first, lines - last) of `lines`, joined again and stripped.
std::string Without(const std::vector<std::string>& lines, size_t first, size_t last) {
  if (first + last >= lines.size()) return {};
  return std::string(Strip(absl::StrJoin(lines.begin() + static_cast<std::ptrdiff_t>(first),
                                         lines.end() - static_cast<std::ptrdiff_t>(last), "\n")));
}

}  // namespace

absl::StatusOr<Instruction> MakeInstruction(std::string_view id, const InstructionArguments& arguments) {
  const Kind* kind = FindKind(id);
  if (kind == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("instruction \"", std::string(id), "\": expected one of IFEval's ", kKinds.size(),
                     " kinds, e.g. punctuation:no_comma; remove the item or correct the id"));
  }
  Instruction made;
  made.id = kind->id;
  for (const absl::Status& status : {Take(*kind, arguments, kind->relation, "a text", made.relation),
                                     Take(*kind, arguments, kind->count, "a whole number", made.count),
                                     Take(*kind, arguments, kind->position, "a whole number", made.position),
                                     Take(*kind, arguments, kind->text, "a text", made.text),
                                     Take(*kind, arguments, kind->words, "a list of texts", made.words)}) {
    if (!status.ok()) return status;
  }
  if (auto status = CheckRanges(*kind, made); !status.ok()) return status;
  if (auto status = CheckExpressions(*kind, made); !status.ok()) return status;
  return made;
}

std::vector<std::string> InstructionIds() {
  std::vector<std::string> ids;
  for (const Kind& kind : kKinds) ids.emplace_back(kind.id);
  return ids;
}

InstructionVerdict CheckInstruction(const Instruction& instruction, std::string_view response) {
  const Kind* kind = FindKind(instruction.id);
  if (kind == nullptr) return {};
  if (Holds(kind->check, instruction, response)) return {true, true};
  const std::vector<std::string> lines = absl::StrSplit(std::string(response), '\n');
  for (const std::string& text :
       {std::string(response), Without(lines, 1, 0), Without(lines, 0, 1), Without(lines, 1, 1)}) {
    if (Holds(kind->check, instruction, text) || Holds(kind->check, instruction, ReplaceAll(text, "*", ""))) {
      return {false, true};
    }
  }
  return {};
}

}  // namespace uaqf::evaluate
