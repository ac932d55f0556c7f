// IFEval's checks of the form of a response.
#include <algorithm>

#include "nlohmann/json.hpp"
#include "worker/evaluate/tasks/ifeval_checks.h"
#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {
namespace {

std::string_view StripCharacters(std::string_view text, std::string_view characters) {
  const size_t begin = text.find_first_not_of(characters);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(characters) - begin + 1);
}

std::string_view WithoutPrefix(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

}  // namespace

bool PlaceholderCount(const Instruction& instruction, std::string_view text) {
  static const Regex placeholder = Regex::Known(R"(\[.*?\])");
  return static_cast<int64_t>(placeholder.FindAll(text).size()) >= instruction.count;
}

bool HasPostscript(const Instruction& instruction, std::string_view text) {
  static const Regex pps = Regex::Known(R"(\s*p\.\s?p\.\s?s.*$)", Regex::kMultiline);
  static const Regex ps = Regex::Known(R"(\s*p\.\s?s\..*$)", Regex::kMultiline);
  const std::string lower = Lower(text);
  if (instruction.text == "P.P.S") return pps.Search(lower);
  if (instruction.text == "P.S.") return ps.Search(lower);
  auto other = Regex::Create(Lower(instruction.text));
  return other.ok() && other->Search(lower);
}

bool BulletCount(const Instruction& instruction, std::string_view text) {
  static const Regex star = Regex::Known(R"(^\s*\*[^\*].*$)", Regex::kMultiline);
  static const Regex dash = Regex::Known(R"(^\s*-.*$)", Regex::kMultiline);
  return static_cast<int64_t>(star.FindAll(text).size() + dash.FindAll(text).size()) == instruction.count;
}

bool ConstrainedResponse(const Instruction&, std::string_view text) {
  static const Regex answer = Regex::Known(R"(My answer is (yes|no|maybe)\.)");
  return answer.Search(text);
}

bool HighlightCount(const Instruction& instruction, std::string_view text) {
  static const Regex single = Regex::Known(R"(\*[^\n\*]*\*)");
  static const Regex twofold = Regex::Known(R"(\*\*[^\n\*]*\*\*)");
  int64_t count = 0;
  for (const Regex* expression : {&single, &twofold}) {
    for (const Regex::Match& match : expression->FindAll(text)) {
      if (!Strip(StripCharacters(match.whole, "*")).empty()) ++count;
    }
  }
  return count >= instruction.count;
}

bool SectionCount(const Instruction& instruction, std::string_view text) {
  auto divider = Regex::Create("\\s?" + instruction.text + "\\s?\\d+\\s?");
  return divider.ok() && static_cast<int64_t>(divider->FindAll(text).size()) >= instruction.count;
}

bool IsJson(const Instruction&, std::string_view text) {
  std::string_view body = Strip(text);
  for (const char* fence : {"```json", "```Json", "```JSON", "```"}) body = WithoutPrefix(body, fence);
  if (body.ends_with("```")) body.remove_suffix(3);
  return nlohmann::json::accept(Strip(body));
}

bool HasTitle(const Instruction&, std::string_view text) {
  static const Regex title = Regex::Known(R"(<<[^\n]+>>)");
  const auto titles = title.FindAll(text);
  return std::any_of(titles.begin(), titles.end(), [](const Regex::Match& match) {
    std::string_view inner = match.whole;
    inner.remove_prefix(std::min(inner.find_first_not_of('<'), inner.size()));
    inner = inner.substr(0, inner.find_last_not_of('>') + 1);
    return !Strip(inner).empty();
  });
}

bool TwoResponses(const Instruction&, std::string_view text) {
  static const Regex divider = Regex::Known(R"(\*{6})");
  const auto parts = divider.Split(text);
  std::vector<std::string_view> responses;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = Strip(parts[i]);
    if (!part.empty()) {
      responses.push_back(part);
    } else if (i != 0 && i + 1 != parts.size()) {
      return false;
    }
  }
  return responses.size() == 2 && responses[0] != responses[1];
}

bool RepeatsPrompt(const Instruction& instruction, std::string_view text) {
  return Lower(Strip(text)).starts_with(Lower(Strip(instruction.text)));
}

bool EndsWithPhrase(const Instruction& instruction, std::string_view text) {
  return Lower(StripCharacters(Strip(text), "\"")).ends_with(Lower(Strip(instruction.text)));
}

bool LacksComma(const Instruction&, std::string_view text) { return text.find(',') == std::string_view::npos; }

bool IsQuoted(const Instruction&, std::string_view text) {
  const std::string_view body = Strip(text);
  return body.size() > 1 && body.front() == '"' && body.back() == '"';
}

}  // namespace uaqf::evaluate
