#include "worker/tokenizer/utf8.h"

#include <algorithm>

namespace uaqf::tokenizer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Character {
  // Bytes that belong together: a character, or the longest beginning of one.
  size_t bytes;
  enum { kValid, kInvalid, kUnfinished } state;
};

// Looks at the character that begins at `at`, by the table of well-formed sequences in the Unicode standard (3-7).
Character Inspect(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {1, Character::kValid};
  if (lead < 0xC2 || lead > 0xF4) return {1, Character::kInvalid};
  const size_t length = Utf8Length(lead);
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (size_t i = 1; i < length; ++i) {
    if (at + i == text.size()) return {i, Character::kUnfinished};
    if (byte(at + i) < low || byte(at + i) > high) return {i, Character::kInvalid};
    low = 0x80;
    high = 0xBF;
  }
  return {length, Character::kValid};
}

}  // namespace

size_t Utf8Length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xE0) return 2;
  return lead < 0xF0 ? 3 : 4;
}

size_t FindInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Character character = Inspect(text, at);
    if (character.state != Character::kValid) return at;
    at += character.bytes;
  }
  return at;
}

char32_t DecodeUtf8(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t length = Utf8Length(lead);
  if (length == 1) return lead;
  char32_t character = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) character = (character << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
  return character;
}

void AppendUtf8(char32_t character, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | (character >> 6));
    put(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    put(0xE0 | (character >> 12));
    put(0x80 | ((character >> 6) & 0x3F));
    put(0x80 | (character & 0x3F));
  } else {
    put(0xF0 | (character >> 18));
    put(0x80 | ((character >> 12) & 0x3F));
    put(0x80 | ((character >> 6) & 0x3F));
    put(0x80 | (character & 0x3F));
  }
}

bool IsWhiteSpace(char32_t character) {
  return (character >= 0x09 && character <= 0x0D) || character == 0x20 || character == 0x85 || character == 0xA0 ||
         character == 0x1680 || (character >= 0x2000 && character <= 0x200A) || character == 0x2028 ||
         character == 0x2029 || character == 0x202F || character == 0x205F || character == 0x3000;
}

std::string TakeUtf8(std::string& pending, bool final) {
  std::string out;
  out.reserve(pending.size());
  size_t at = 0;
  while (at < pending.size()) {
    const Character character = Inspect(pending, at);
    if (character.state == Character::kUnfinished && !final) break;
    if (character.state == Character::kValid) {
      out.append(pending, at, character.bytes);
    } else {
      out.append(kReplacement);
    }
    at += character.bytes;
  }
  pending.erase(0, at);
  return out;
}

}  // namespace uaqf::tokenizer
