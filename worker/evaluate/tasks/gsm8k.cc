#include "worker/evaluate/tasks/gsm8k.h"

#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {

std::optional<std::string> ExtractFirst(std::string_view text, const Regex& expression) {
  const auto matches = expression.FindAll(text);
  if (matches.empty()) return std::nullopt;
  return std::string(Strip(matches.front().groups[0]));
}

std::optional<std::string> ExtractStrict(std::string_view text) {
  static const Regex number = Regex::Known(R"(#### (\-?[0-9\.\,]+))");
  return ExtractFirst(text, number);
}

std::optional<std::string> ExtractFlexible(std::string_view text) {
  static const Regex number = Regex::Known(R"((-?[$0-9.,]{2,})|(-?[0-9]+))");
  const auto matches = number.FindAll(text);
  if (matches.empty()) return std::nullopt;
  return std::string(Strip(matches.back().whole));
}

std::string NormalizeNumber(std::string_view text) {
  static const Regex up_to_mark = Regex::Known(R"((?s).*#### )");
  static const Regex final_point = Regex::Known(R"(\.$)");
  const std::string plain = ReplaceAll(ReplaceAll(text, ",", ""), "$", "");
  return Lower(final_point.Replace(up_to_mark.Replace(plain, ""), ""));
}

GsmVerdict ScoreGsm8k(std::string_view answer, std::string_view reference) {
  const std::string expected = NormalizeNumber(reference);
  const auto equal = [&expected](const std::optional<std::string>& number) {
    return number.has_value() && NormalizeNumber(*number) == expected;
  };
  return {equal(ExtractStrict(answer)), equal(ExtractFlexible(answer))};
}

}  // namespace uaqf::evaluate
