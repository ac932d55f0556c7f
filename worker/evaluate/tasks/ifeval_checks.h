// The checks behind ifeval.h, one for each kind: does this text follow that instruction?
#pragma once

#include <string_view>

#include "worker/evaluate/tasks/ifeval.h"

namespace uaqf::evaluate {

using InstructionCheck = bool (*)(const Instruction& instruction, std::string_view text);

// Keywords and letters.
bool HasKeywords(const Instruction& instruction, std::string_view text);
bool KeywordFrequency(const Instruction& instruction, std::string_view text);
bool LacksForbiddenWords(const Instruction& instruction, std::string_view text);
bool LetterFrequency(const Instruction& instruction, std::string_view text);
bool CapitalWordFrequency(const Instruction& instruction, std::string_view text);

// Language and case.
bool InLanguage(const Instruction& instruction, std::string_view text);
bool EnglishCapital(const Instruction& instruction, std::string_view text);
bool EnglishLowercase(const Instruction& instruction, std::string_view text);

// Length.
bool SentenceCount(const Instruction& instruction, std::string_view text);
bool WordCount(const Instruction& instruction, std::string_view text);
bool ParagraphCount(const Instruction& instruction, std::string_view text);
bool NthParagraphFirstWord(const Instruction& instruction, std::string_view text);

// Form.
bool PlaceholderCount(const Instruction& instruction, std::string_view text);
bool HasPostscript(const Instruction& instruction, std::string_view text);
bool BulletCount(const Instruction& instruction, std::string_view text);
bool ConstrainedResponse(const Instruction& instruction, std::string_view text);
bool HighlightCount(const Instruction& instruction, std::string_view text);
bool SectionCount(const Instruction& instruction, std::string_view text);
bool IsJson(const Instruction& instruction, std::string_view text);
bool HasTitle(const Instruction& instruction, std::string_view text);
bool TwoResponses(const Instruction& instruction, std::string_view text);
bool RepeatsPrompt(const Instruction& instruction, std::string_view text);
bool EndsWithPhrase(const Instruction& instruction, std::string_view text);
bool LacksComma(const Instruction& instruction, std::string_view text);
bool IsQuoted(const Instruction& instruction, std::string_view text);

}  // namespace uaqf::evaluate
