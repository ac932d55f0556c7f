// Regular expressions as the published scorers write them (Python's `re` on Unicode text), matched by PCRE2.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace uaqf::evaluate {

// A compiled expression. Immutable; any thread. Any bytes may be searched: what is not UTF-8 matches nothing. A text on
// which the expression needs more than ten million steps has no further match.
class Regex {
 public:
  enum Flag : unsigned { kNone = 0, kIgnoreCase = 1, kMultiline = 2 };

  // The whole match, and its first two groups; empty where a group took no part.
  struct Match {
    std::string_view whole;
    std::array<std::string_view, 2> groups;
  };

  // INVALID_ARGUMENT: not an expression; the message says where.
  [[nodiscard]] static absl::StatusOr<Regex> Create(std::string_view expression, unsigned flags = kNone);
  // For expressions of this program; one that does not compile ends it.
  [[nodiscard]] static Regex Known(std::string_view expression, unsigned flags = kNone);

  [[nodiscard]] bool Search(std::string_view text) const;
  // From left to right, not overlapping; views lie in `text`.
  [[nodiscard]] std::vector<Match> FindAll(std::string_view text) const;
  // What lies between matches, empty pieces included.
  [[nodiscard]] std::vector<std::string_view> Split(std::string_view text) const;
  // Every match replaced; "$1" is the first group. `text` itself where it cannot be done.
  [[nodiscard]] std::string Replace(std::string_view text, std::string_view replacement) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  // Shared, since a copy of an expression is the same expression.
  std::shared_ptr<const Code> code_;
};

// `literal` as an expression that matches it alone.
std::string EscapeRegex(std::string_view literal);

}  // namespace uaqf::evaluate
