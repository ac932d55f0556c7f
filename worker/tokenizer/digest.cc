#include "worker/tokenizer/digest.h"

#include <cstdint>
#include <string_view>

#include "worker/model/digest.h"

namespace uaqf::tokenizer {
namespace {

// Never edited: digests of before would differ from those after.
constexpr std::string_view kProbe =
    "The quick brown fox jumps over 13 lazy dogs, doesn't it?  Two  spaces,\ttabs,\n\nblank lines and "
    "CamelCase_names.\n"
    "def f(x): return x**2 + 3.14159e-10  # 1,234,567 tokens\n"
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Ça va? ¿Qué tal? Příliš žluťoučký kůň.\n"
    "Съешь же ещё этих мягких французских булок. Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. いろはにほへと 色は匂へど "
    "敏捷的棕色狐狸\n"
    "שפן אכל קצת גזר 키스의 고유조건은 نص حكيم له سر قاطع\n"
    "\U0001F642\U0001F469\u200D\U0001F467 e\u0301 \u00e9 <s> </s> <|im_end|> [INST]\n";

void AddNumber(std::int64_t value, std::string* bytes) {
  for (int shift = 0; shift < 64; shift += 8) bytes->push_back(static_cast<char>(value >> shift));
}

}  // namespace

absl::StatusOr<std::string> TokenizerDigest(const Tokenizer& tokenizer) {
  std::string bytes;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const Token& token = tokenizer.vocabulary().token(id);
    AddNumber(static_cast<std::int64_t>(token.kind), &bytes);
    AddNumber(static_cast<std::int64_t>(token.bytes.size()), &bytes);
    bytes += token.bytes;
  }
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.Encode(kProbe, {.add_bos = true, .parse_special = parse_special});
    if (!ids.ok()) return ids.status();
    AddNumber(static_cast<std::int64_t>(ids->size()), &bytes);
    for (const std::int32_t id : *ids) AddNumber(id, &bytes);
  }
  return model::Sha256(bytes);
}

}  // namespace uaqf::tokenizer
