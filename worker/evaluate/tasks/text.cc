#include "worker/evaluate/tasks/text.h"

#include <wctype.h>

#include <algorithm>

#include "absl/strings/str_replace.h"
#include "worker/evaluate/tasks/regex.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::evaluate {
namespace {

// The locale that every glibc since 2.35 has built in; without it only ASCII has a case.
locale_t Utf8Locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

char32_t LowerOf(char32_t character) {
  if (character < 0x80) return character >= 'A' && character <= 'Z' ? character + 32 : character;
  const locale_t locale = Utf8Locale();
  return locale == nullptr ? character : static_cast<char32_t>(towlower_l(static_cast<wint_t>(character), locale));
}

}  // namespace

std::string_view Strip(std::string_view text) {
  static const Regex ends = Regex::Known(R"(\A\s+|\s+\z)");
  for (const Regex::Match& match : ends.FindAll(text)) {
    const bool at_start = match.whole.data() == text.data();
    if (at_start) {
      text.remove_prefix(match.whole.size());
    } else {
      text.remove_suffix(match.whole.size());
    }
  }
  return text;
}

std::string Lower(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  // Bytes that are no UTF-8 stay as they are.
  const size_t valid = tokenizer::FindInvalidUtf8(text);
  for (size_t at = 0; at < valid; at += tokenizer::Utf8Length(static_cast<unsigned char>(text[at]))) {
    tokenizer::AppendUtf8(LowerOf(tokenizer::DecodeUtf8(text, at)), lower);
  }
  if (valid == text.size()) return lower;
  lower += text[valid];
  return lower + Lower(text.substr(valid + 1));
}

bool IsUpper(std::string_view text) {
  static const Regex lower = Regex::Known(R"([\p{Ll}\p{Lt}])");
  static const Regex upper = Regex::Known(R"(\p{Lu})");
  return !lower.Search(text) && upper.Search(text);
}

bool IsLower(std::string_view text) {
  static const Regex lower = Regex::Known(R"(\p{Ll})");
  static const Regex upper = Regex::Known(R"([\p{Lu}\p{Lt}])");
  return !upper.Search(text) && lower.Search(text);
}

std::vector<std::string_view> Words(std::string_view text) {
  static const Regex word = Regex::Known(R"(\S+)");
  std::vector<std::string_view> words;
  for (const Regex::Match& match : word.FindAll(text)) words.push_back(match.whole);
  return words;
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  return absl::StrReplaceAll({text.data(), text.size()}, {{{from.data(), from.size()}, {to.data(), to.size()}}});
}

std::string_view CutAtStop(std::string_view text, const std::vector<std::string>& stops) {
  size_t end = text.size();
  for (const std::string& stop : stops) end = std::min(end, text.find(stop));
  return text.substr(0, end);
}

}  // namespace uaqf::evaluate
