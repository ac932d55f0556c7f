// GSM8K as lm-eval scores it (`gsm8k` v3.0, METHODS 7).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker/evaluate/tasks/regex.h"

namespace uaqf::evaluate {

// The first group of the first match of `expression`, stripped; nothing without a match.
std::optional<std::string> ExtractFirst(std::string_view text, const Regex& expression);

// What strict-match takes: the number after the first "#### ".
std::optional<std::string> ExtractStrict(std::string_view text);
// What flexible-extract takes: the last thing that looks like a number.
std::optional<std::string> ExtractFlexible(std::string_view text);

// What is compared: without commas and "$", without everything up to the last "#### ", without a final ".", lower case.
std::string NormalizeNumber(std::string_view text);

struct GsmVerdict {
  bool strict = false;
  bool flexible = false;
};

// `reference`: the answer of the data set, whose number stands after "#### ".
GsmVerdict ScoreGsm8k(std::string_view answer, std::string_view reference);

}  // namespace uaqf::evaluate
