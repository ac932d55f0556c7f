#include "worker/evaluate/tasks/alpaca_checks.h"

#include <vector>

#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "worker/evaluate/tasks/loop.h"
#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/sentences.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {
namespace {

constexpr size_t kShortestEcho = 20;
constexpr size_t kMostWords = 500;

bool IsJsonText(std::string_view answer) {
  static const Regex fence = Regex::Known(R"(\A```\w*|```\z)");
  return nlohmann::json::accept(fence.Replace(Strip(answer), ""));
}

}  // namespace

AskedFormat FindAskedFormat(std::string_view instruction) {
  struct Row {
    Regex expression;
    AskedFormat format;
  };
  static const std::vector<Row> rows = {
      {Regex::Known(R"(\b(in|as|into|valid|output)\b[^.\n]{0,20}\bjson\b)", Regex::kIgnoreCase), AskedFormat::kJson},
      {Regex::Known(R"(\b(as|in|make|create|into)\b[^.\n]{0,20}\btable\b)", Regex::kIgnoreCase), AskedFormat::kTable},
      {Regex::Known(R"(\b(bullet(ed)?|numbered)[ -](list|point)|\b(give|make|create|write|generate)( me)? a list\b)",
                    Regex::kIgnoreCase),
       AskedFormat::kList},
      {Regex::Known(R"(\b(yes|true)(/| or )(no|false)\b)", Regex::kIgnoreCase), AskedFormat::kYesOrNo},
      {Regex::Known(R"(\b(one|single) word\b)", Regex::kIgnoreCase), AskedFormat::kOneWord},
      {Regex::Known(R"(\b(in|with|into) (one|a single|1) sentence\b)", Regex::kIgnoreCase), AskedFormat::kOneSentence},
  };
  for (const Row& row : rows) {
    if (row.expression.Search(instruction)) return row.format;
  }
  return AskedFormat::kNone;
}

bool HasFormat(AskedFormat format, std::string_view answer) {
  static const Regex item = Regex::Known(R"(^\s*([-*•]|\d+[.)])\s*\S)", Regex::kMultiline);
  static const Regex row = Regex::Known(R"(^.*\S.*\|.*\S.*$)", Regex::kMultiline);
  static const Regex yes_or_no = Regex::Known(R"(\A\W*(yes|no|true|false)\b)", Regex::kIgnoreCase);
  switch (format) {
    case AskedFormat::kNone:
      return true;
    case AskedFormat::kJson:
      return IsJsonText(answer);
    case AskedFormat::kList:
      return item.FindAll(answer).size() >= 2;
    case AskedFormat::kTable:
      return row.FindAll(answer).size() >= 2;
    case AskedFormat::kYesOrNo:
      return yes_or_no.Search(answer);
    case AskedFormat::kOneWord:
      return Words(answer).size() == 1;
    case AskedFormat::kOneSentence:
      return CountSentences(answer) == 1;
  }
  return false;
}

AlpacaVerdict CheckAlpaca(std::string_view instruction, std::string_view answer, bool stopped) {
  static const Regex heading = Regex::Known(R"(^### \w+:)", Regex::kMultiline);
  AlpacaVerdict verdict;
  const std::string_view asked = Strip(instruction);
  const std::string_view given = Strip(answer);
  const size_t words = Words(given).size();
  verdict.not_empty = !given.empty();
  verdict.stops = stopped;
  verdict.no_echo =
      !heading.Search(answer) && (asked.size() < kShortestEcho || answer.find(asked) == std::string_view::npos);
  verdict.sane_length = words >= 1 && words <= kMostWords && !RepeatsLine(given);
  verdict.format = verdict.not_empty && HasFormat(FindAskedFormat(instruction), given);
  return verdict;
}

std::string AlpacaPrompt(std::string_view instruction, std::string_view input) {
  std::string prompt = "Below is an instruction that describes a task";
  prompt += input.empty() ? "." : ", paired with an input that provides further context.";
  prompt += " Write a response that appropriately completes the request.\n\n### Instruction:\n";
  prompt += instruction;
  if (!input.empty()) {
    prompt += "\n\n### Input:\n";
    prompt += input;
  }
  return prompt + "\n\n### Response:";
}

}  // namespace uaqf::evaluate
