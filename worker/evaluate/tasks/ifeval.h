// IFEval's 25 checkable kinds of instruction, strict and loose (`ifeval` v4.0, METHODS 7).
//
// Two published items ask for a "letter" that is none ("!", "#"): lm-eval draws a random letter for them, we count what
// is asked for. Two checks rest on data that the original takes from libraries; ours are rules, and may differ where
// those learned: the number of sentences (nltk's punkt model; here sentences.h) and the language (langdetect; here
// language.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace uaqf::evaluate {

// The arguments of an instruction by their published names, those that are null left out.
using InstructionArguments = std::map<std::string, std::variant<int64_t, std::string, std::vector<std::string>>>;

// One instruction, its arguments by what they are.
struct Instruction {
  std::string id;  // e.g. "keywords:frequency"
  // "less than" or "at least", where the kind counts and compares.
  std::string relation;
  int64_t count = 0;
  // Which paragraph, from 1.
  int64_t position = 0;
  std::string text;
  std::vector<std::string> words;
};

// INVALID_ARGUMENT: an unknown kind, or an argument that is missing, of another type or out of range.
[[nodiscard]] absl::StatusOr<Instruction> MakeInstruction(std::string_view id, const InstructionArguments& arguments);

// The 25 ids, sorted.
std::vector<std::string> InstructionIds();

struct InstructionVerdict {
  bool strict = false;
  // Holds for the response or for one of the seven texts made from it: without its first line, its last line, both,
  // and each of the four without "*".
  bool loose = false;
};

// `instruction` comes from MakeInstruction. An empty response fails.
InstructionVerdict CheckInstruction(const Instruction& instruction, std::string_view response);

}  // namespace uaqf::evaluate
