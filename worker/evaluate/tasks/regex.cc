#include "worker/evaluate/tasks/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "absl/strings/str_cat.h"

namespace uaqf::evaluate {
namespace {

constexpr uint32_t kMatchLimit = 10'000'000;

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

PCRE2_SPTR Bytes(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string_view Group(std::string_view text, const PCRE2_SIZE* span, int count, int group) {
  if (group >= count || span[2 * group] == PCRE2_UNSET) return {};
  return text.substr(span[2 * group], span[2 * group + 1] - span[2 * group]);
}

}  // namespace

struct Regex::Code {
  ~Code() {
    pcre2_code_free(code);
    pcre2_match_context_free(context);
  }
  // The number of groups set plus one, or an error below 0. `data` gets the offsets.
  int Find(std::string_view text, size_t at, uint32_t options, pcre2_match_data* data) const {
    return pcre2_match(code, Bytes(text), text.size(), at, options, data, context);
  }
  MatchData NewData() const { return {pcre2_match_data_create_from_pattern(code, nullptr), &pcre2_match_data_free}; }

  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
};

absl::StatusOr<Regex> Regex::Create(std::string_view expression, unsigned flags) {
  auto code = std::make_shared<Code>();
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
  if ((flags & kIgnoreCase) != 0) options |= PCRE2_CASELESS;
  if ((flags & kMultiline) != 0) options |= PCRE2_MULTILINE;
  int error = 0;
  PCRE2_SIZE offset = 0;
  code->code = pcre2_compile(Bytes(expression), expression.size(), options, &error, &offset, nullptr);
  if (code->code == nullptr) {
    PCRE2_UCHAR text[256] = {};
    pcre2_get_error_message(error, text, sizeof(text));
    return absl::InvalidArgumentError(absl::StrCat("regular expression \"", std::string(expression),
                                                   "\" is not understood at byte ", offset, ": ",
                                                   reinterpret_cast<const char*>(text)));
  }
  code->context = pcre2_match_context_create(nullptr);
  if (code->context == nullptr) return absl::ResourceExhaustedError("no memory for a PCRE2 match context");
  pcre2_set_match_limit(code->context, kMatchLimit);
  return Regex(std::move(code));
}

Regex Regex::Known(std::string_view expression, unsigned flags) { return Create(expression, flags).value(); }

bool Regex::Search(std::string_view text) const {
  const MatchData data = code_->NewData();
  return data != nullptr && code_->Find(text, 0, 0, data.get()) > 0;
}

std::vector<Regex::Match> Regex::FindAll(std::string_view text) const {
  std::vector<Match> matches;
  const MatchData data = code_->NewData();
  if (data == nullptr) return matches;
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
  uint32_t options = 0;
  for (size_t at = 0; at <= text.size();) {
    const int count = code_->Find(text, at, options, data.get());
    if (count <= 0) {
      // After an empty match the next one may begin at the same place only when it is not empty, else further on.
      if (count != PCRE2_ERROR_NOMATCH || options == 0) break;
      options = 0;
      ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
      continue;
    }
    matches.push_back({Group(text, span, count, 0), {Group(text, span, count, 1), Group(text, span, count, 2)}});
    at = span[1];
    options = span[0] == span[1] ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
  }
  return matches;
}

std::vector<std::string_view> Regex::Split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  size_t begin = 0;
  for (const Match& match : FindAll(text)) {
    const auto at = static_cast<size_t>(match.whole.data() - text.data());
    pieces.push_back(text.substr(begin, at - begin));
    begin = at + match.whole.size();
  }
  pieces.push_back(text.substr(begin));
  return pieces;
}

std::string Regex::Replace(std::string_view text, std::string_view replacement) const {
  std::string out(2 * text.size() + 256, '\0');
  PCRE2_SIZE size = out.size();
  const uint32_t options = PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | PCRE2_SUBSTITUTE_UNSET_EMPTY;
  const auto substitute = [&] {
    return pcre2_substitute(code_->code, Bytes(text), text.size(), 0, options, nullptr, code_->context,
                            Bytes(replacement), replacement.size(), reinterpret_cast<PCRE2_UCHAR*>(out.data()), &size);
  };
  int result = substitute();
  if (result == PCRE2_ERROR_NOMEMORY) {
    out.resize(size);
    result = substitute();
  }
  if (result < 0) return std::string(text);
  out.resize(size);
  return out;
}

std::string EscapeRegex(std::string_view literal) {
  std::string expression;
  for (const char c : literal) {
    if (std::string_view(R"(\^$.[|()?*+{}#-&~ )").find(c) != std::string_view::npos) expression += '\\';
    expression += c;
  }
  return expression;
}

}  // namespace uaqf::evaluate
