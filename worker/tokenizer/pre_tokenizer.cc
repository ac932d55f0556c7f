#include "worker/tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "absl/strings/str_cat.h"

namespace uaqf::tokenizer {
namespace {

// Steps that an expression may take on one match: far above what those of real models need, and far below a hang.
constexpr uint32_t kMatchLimit = 10'000'000;

// What Rust and Oniguruma, in which these expressions were written, call white space. PCRE2's own \s also takes
// U+180E.
constexpr char kSpaces[] =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

// Spells out \s and \S. Inside a class \S cannot be spelt out and is left alone: no known model has it there.
std::string SpellOutSpaces(std::string_view expression) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '\\' && i + 1 < expression.size()) {
      const char escaped = expression[++i];
      if (escaped == 's') {
        absl::StrAppend(&out, in_class ? "" : "[", kSpaces, in_class ? "" : "]");
      } else if (escaped == 'S' && !in_class) {
        absl::StrAppend(&out, "[^", kSpaces, "]");
      } else {
        out += c;
        out += escaped;
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

std::string Pcre2Message(int code) {
  PCRE2_UCHAR text[256];
  if (pcre2_get_error_message(code, text, sizeof(text)) < 0) return absl::StrCat("PCRE2 error ", code);
  return reinterpret_cast<const char*>(text);
}

void AppendIfAny(std::string_view piece, std::vector<std::string_view>& pieces) {
  if (!piece.empty()) pieces.push_back(piece);
}

void Cut(std::string_view text, const std::vector<std::string_view>& matches, SplitBehavior behavior,
         std::vector<std::string_view>& pieces) {
  size_t end = 0;
  for (const std::string_view match : matches) {
    const auto begin = static_cast<size_t>(match.data() - text.data());
    if (behavior != SplitBehavior::kRemovedInverted) AppendIfAny(text.substr(end, begin - end), pieces);
    if (behavior != SplitBehavior::kRemoved) pieces.push_back(match);
    end = begin + match.size();
  }
  if (behavior != SplitBehavior::kRemovedInverted) AppendIfAny(text.substr(end), pieces);
}

}  // namespace

const char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const char kLlama3Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kQwen2Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char kDigitPattern[] = R"(\p{N})";

struct Pattern::Code {
  ~Code() {
    pcre2_code_free(code);
    pcre2_match_context_free(context);
  }
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
};

absl::StatusOr<Pattern> Pattern::Create(std::string_view expression) {
  auto code = std::make_shared<Code>();
  const std::string spelt = SpellOutSpaces(expression);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelt.data()), spelt.size(), PCRE2_UTF | PCRE2_UCP, &error,
                             &offset, nullptr);
  if (code->code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("pre-tokenizer expression \"", spelt,
                                                   "\" is not understood at byte ", offset, ": ", Pcre2Message(error),
                                                   "; correct the tokenizer file"));
  }
  // Where just-in-time compilation is not allowed, matching is merely slower.
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);
  code->context = pcre2_match_context_create(nullptr);
  if (code->context == nullptr) return absl::ResourceExhaustedError("no memory for a PCRE2 match context");
  pcre2_set_match_limit(code->context, kMatchLimit);
  return Pattern(std::move(code));
}

absl::StatusOr<Pattern> Pattern::CreateLiteral(std::string_view literal) {
  std::string expression;
  for (const char c : literal) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      absl::StrAppend(&expression, "\\x{", absl::Hex(byte), "}");
    } else {
      expression += c;
    }
  }
  return Create(expression);
}

absl::Status Pattern::FindAll(std::string_view text, std::vector<std::string_view>& matches) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code_->code, nullptr), &pcre2_match_data_free);
  if (data == nullptr) return absl::ResourceExhaustedError("no memory for a PCRE2 match");
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
  PCRE2_SIZE at = 0;
  while (at < text.size()) {
    const auto match = [&](uint32_t extra) {
      return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                         PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | extra, data.get(), code_->context);
    };
    int result = match(0);
    // The interpreter keeps its state on the heap.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) {
      return absl::ResourceExhaustedError(absl::StrCat("pre-tokenizer expression fails at byte ", at, " of ",
                                                       text.size(), ": ", Pcre2Message(result),
                                                       "; shorten the text or correct the tokenizer file"));
    }
    // \K inside a look-around can turn a match around; such an expression finds nothing more.
    if (span[0] < at || span[1] <= span[0]) break;
    matches.push_back(text.substr(span[0], span[1] - span[0]));
    at = span[1];
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string_view>> PreTokenizer::Split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  AppendIfAny(text, pieces);
  std::vector<std::string_view> matches;
  for (const Step& step : steps_) {
    std::vector<std::string_view> finer;
    finer.reserve(pieces.size());
    for (const std::string_view piece : pieces) {
      matches.clear();
      if (absl::Status status = step.pattern.FindAll(piece, matches); !status.ok()) return status;
      Cut(piece, matches, step.behavior, finer);
    }
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace uaqf::tokenizer
