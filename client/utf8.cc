#include "client/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace uaqf::client {
namespace {

struct Decoded {
  std::uint32_t code = 0;
  std::size_t length = 0;  // 0: not valid UTF-8
};

Decoded DecodeFirst(absl::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.empty()) return {};
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  // 0xC0 and 0xC1 would be overlong, above 0xF4 is beyond U+10FFFF.
  if (first < 0xC2 || first > 0xF4 || bytes.size() < length) return {};
  std::uint32_t code = first & (0xFF >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, length};
}

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// Blocks, not single characters: enough to keep a table straight.
constexpr std::array<Range, 9> kZeroWidth{{{0x0300, 0x036F},
                                           {0x0483, 0x0489},
                                           {0x0591, 0x05BD},
                                           {0x0610, 0x061A},
                                           {0x064B, 0x065F},
                                           {0x200B, 0x200F},
                                           {0x20D0, 0x20FF},
                                           {0xFE00, 0xFE0F},
                                           {0xFE20, 0xFE2F}}};
constexpr std::array<Range, 9> kWide{{{0x1100, 0x115F},
                                      {0x2E80, 0x303E},
                                      {0x3041, 0xA4CF},
                                      {0xAC00, 0xD7A3},
                                      {0xF900, 0xFAFF},
                                      {0xFE30, 0xFE6F},
                                      {0xFF00, 0xFF60},
                                      {0x1F300, 0x1FAFF},
                                      {0x20000, 0x3FFFD}}};

template <std::size_t n>
bool In(const std::array<Range, n>& ranges, std::uint32_t code) {
  return std::any_of(ranges.begin(), ranges.end(), [code](Range r) { return code >= r.first && code <= r.last; });
}

int Width(std::uint32_t code) { return In(kZeroWidth, code) ? 0 : In(kWide, code) ? 2 : 1; }

bool IsControl(std::uint32_t code) {
  // Also the marks that turn the direction of writing, which can hide what a line says.
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::size_t ValidUtf8Prefix(absl::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t length = DecodeFirst(bytes.substr(at)).length;
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::size_t CutAtCharacter(absl::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text.size();
  std::size_t cut = limit;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return cut;
}

int DisplayWidth(absl::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const Decoded decoded = DecodeFirst(text);
    width += decoded.length == 0 ? 1 : Width(decoded.code);
    text.remove_prefix(std::max<std::size_t>(decoded.length, 1));
  }
  return width;
}

std::string FitToWidth(absl::string_view text, int columns) {
  if (columns <= 0) return "";
  if (DisplayWidth(text) <= columns) return std::string(text);
  std::size_t at = 0;
  int width = 0;
  while (at < text.size()) {
    const Decoded decoded = DecodeFirst(text.substr(at));
    const int more = decoded.length == 0 ? 1 : Width(decoded.code);
    if (width + more > columns - 1) break;
    width += more;
    at += std::max<std::size_t>(decoded.length, 1);
  }
  return std::string(text.substr(0, at)) + "…";
}

std::string Printable(absl::string_view text, bool keep_newlines) {
  std::string out;
  while (!text.empty()) {
    const Decoded decoded = DecodeFirst(text);
    const std::size_t length = std::max<std::size_t>(decoded.length, 1);
    const bool newline = keep_newlines && text[0] == '\n';
    if (!newline && (decoded.length == 0 || IsControl(decoded.code))) {
      out += '?';
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace uaqf::client
