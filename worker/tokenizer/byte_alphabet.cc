#include "worker/tokenizer/byte_alphabet.h"

#include <unordered_map>

#include "absl/strings/str_format.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

// Visible Latin-1 characters stand for themselves; the other bytes, in order, for U+0100 and on.
bool StandsForItself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

}  // namespace

const std::array<std::string, 256>& ByteAlphabet() {
  static const auto& alphabet = *[] {
    auto* table = new std::array<std::string, 256>();
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      AppendUtf8(StandsForItself(byte) ? static_cast<char32_t>(byte) : next++, (*table)[static_cast<size_t>(byte)]);
    }
    return table;
  }();
  return alphabet;
}

std::optional<std::string> BytesOfToken(std::string_view token) {
  static const auto& bytes = *[] {
    auto* map = new std::unordered_map<std::string_view, char>();
    for (size_t byte = 0; byte < 256; ++byte) map->emplace(ByteAlphabet()[byte], static_cast<char>(byte));
    return map;
  }();
  if (FindInvalidUtf8(token) < token.size()) return std::nullopt;
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const size_t length = Utf8Length(static_cast<unsigned char>(token[at]));
    const auto found = bytes.find(token.substr(at, length));
    if (found == bytes.end()) return std::nullopt;
    out.push_back(found->second);
    at += length;
  }
  return out;
}

std::optional<uint8_t> ByteOfByteToken(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : token.substr(3, 2)) {
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<unsigned>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = value * 16 + static_cast<unsigned>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
  }
  return static_cast<uint8_t>(value);
}

std::string ByteToken(uint8_t byte) { return absl::StrFormat("<0x%02X>", byte); }

}  // namespace uaqf::tokenizer
