// The printable characters that stand for bytes in the files of byte-level models: "Ġ" for a space, "Ċ" for a newline.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace uaqf::tokenizer {

// UTF-8 of the character that stands for each byte.
const std::array<std::string, 256>& ByteAlphabet();

// The bytes that `token` stands for; nullopt when a character of it stands for none.
std::optional<std::string> BytesOfToken(std::string_view token);

// Value of a byte token, "<0x0A>"; nullopt for any other.
std::optional<uint8_t> ByteOfByteToken(std::string_view token);
std::string ByteToken(uint8_t byte);

}  // namespace uaqf::tokenizer
