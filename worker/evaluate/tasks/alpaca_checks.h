// Simple checks of an answer to an Alpaca-style prompt, which has no reference metric of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace uaqf::evaluate {

// What an instruction asks its answer to look like, where it says so in known words.
enum class AskedFormat { kNone, kJson, kList, kTable, kYesOrNo, kOneWord, kOneSentence };
AskedFormat FindAskedFormat(std::string_view instruction);

// Whether `answer` has that form; kNone holds always.
bool HasFormat(AskedFormat format, std::string_view answer);

struct AlpacaVerdict {
  bool not_empty = false;
  // Ended by itself, not by the limit of tokens.
  bool stops = false;
  // Neither the instruction (of 20 characters or more) nor a heading of the template ("### ...:") is in the answer.
  bool no_echo = false;
  // 1 to 500 words, and no loop by its lines (loop.h).
  bool sane_length = false;
  bool format = false;

  bool all() const { return not_empty && stops && no_echo && sane_length && format; }
};

// `instruction` without the template around it.
AlpacaVerdict CheckAlpaca(std::string_view instruction, std::string_view answer, bool stopped);

// Stanford Alpaca's template around an instruction and its input, which may be empty.
std::string AlpacaPrompt(std::string_view instruction, std::string_view input);

}  // namespace uaqf::evaluate
