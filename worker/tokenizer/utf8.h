// UTF-8: checked on the way in, repaired on the way out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace uaqf::tokenizer {

// Offset of the first byte that is not valid UTF-8 (overlong forms, surrogates and code points above U+10FFFF are
// not); text.size() where all is valid.
size_t FindInvalidUtf8(std::string_view text);

// Bytes of the character that begins with `lead` in valid UTF-8.
size_t Utf8Length(unsigned char lead);

// The character at `at` of valid UTF-8.
char32_t DecodeUtf8(std::string_view text, size_t at);
void AppendUtf8(char32_t character, std::string& out);

// Unicode's White_Space property.
bool IsWhiteSpace(char32_t character);

// Takes from `pending` everything up to an unfinished character at its end; bytes that cannot become a character turn
// into U+FFFD, one for each longest beginning of a character. With `final` nothing stays behind.
std::string TakeUtf8(std::string& pending, bool final);

}  // namespace uaqf::tokenizer
