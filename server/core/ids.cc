#include "server/core/ids.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace uaqf::core {
namespace {

constexpr int kIdLength = 6;
constexpr char kLetters[] = "abcdefghjkmnpqrstuvwxyz";
constexpr char kCharacters[] = "abcdefghjkmnpqrstuvwxyz23456789";
constexpr char kTokenMark[] = "u1";

bool Contains(const char* set, char c) { return c != '\0' && std::string(set).find(c) != std::string::npos; }

absl::Status NotOurs(const std::string& kind, const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("page token \"", absl::CEscape(text.substr(0, 64)), "\" is not one of ", kind,
                   ": pass next_page_token of the previous answer unchanged, or leave it empty"));
}

}  // namespace

std::string NewJobId(const RandomBits& random) {
  std::uint64_t bits = random();
  std::string id;
  for (int i = 0; i < kIdLength; ++i) {
    const std::string set = i == 0 ? kLetters : kCharacters;
    id += set[bits % set.size()];
    bits /= set.size();
  }
  return id;
}

bool IsJobId(const std::string& id) {
  return id.size() == kIdLength && Contains(kLetters, id[0]) &&
         std::all_of(id.begin(), id.end(), [](char c) { return Contains(kCharacters, c); });
}

std::string Encode(const PageToken& token) {
  return absl::WebSafeBase64Escape(absl::StrCat(kTokenMark, ":", token.kind, ":", token.a, ":", token.b));
}

absl::StatusOr<PageToken> DecodePageToken(const std::string& kind, const std::string& text) {
  PageToken token;
  token.kind = kind;
  if (text.empty()) return token;
  std::string plain;
  if (text.size() > 256 || !absl::WebSafeBase64Unescape(text, &plain)) return NotOurs(kind, text);
  const std::vector<std::string> parts = absl::StrSplit(plain, ':');
  if (parts.size() != 4 || parts[0] != kTokenMark || parts[1] != kind || !absl::SimpleAtoi(parts[2], &token.a) ||
      !absl::SimpleAtoi(parts[3], &token.b) || token.a < 0 || token.b < 0) {
    return NotOurs(kind, text);
  }
  return token;
}

}  // namespace uaqf::core
