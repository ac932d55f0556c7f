// Cuts a text into the pieces within which tokens are formed: words, numbers, runs of spaces.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace uaqf::tokenizer {

// The expressions of the byte-level models that GGUF files name.
extern const char kGpt2Pattern[];
extern const char kLlama3Pattern[];
extern const char kQwen2Pattern[];
extern const char kDigitPattern[];

// A compiled expression over Unicode text. Immutable; any thread.
class Pattern {
 public:
  // INVALID_ARGUMENT: not an expression that PCRE2 understands; the message says where.
  [[nodiscard]] static absl::StatusOr<Pattern> Create(std::string_view expression);
  // An expression that matches exactly `literal`.
  [[nodiscard]] static absl::StatusOr<Pattern> CreateLiteral(std::string_view literal);

  // Appends the matches in `text`, valid UTF-8, from left to right; empty ones are skipped.
  // RESOURCE_EXHAUSTED: the expression needs too many steps on this text.
  [[nodiscard]] absl::Status FindAll(std::string_view text, std::vector<std::string_view>& matches) const;

 private:
  struct Code;
  explicit Pattern(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  // Shared, since a copy of a pattern is the same pattern.
  std::shared_ptr<const Code> code_;
};

// What is kept of a text that a pattern cuts.
enum class SplitBehavior {
  // Matches, and what lies between them, each as a piece.
  kIsolated,
  // Only what lies between matches.
  kRemoved,
  // Only the matches.
  kRemovedInverted,
};

// Steps applied one after another, each to every piece that the one before left.
class PreTokenizer {
 public:
  void AddStep(Pattern pattern, SplitBehavior behavior) { steps_.push_back({std::move(pattern), behavior}); }

  // Pieces of `text` in order, none empty; all of it when there is no step. Views lie in `text`.
  [[nodiscard]] absl::StatusOr<std::vector<std::string_view>> Split(std::string_view text) const;

 private:
  struct Step {
    Pattern pattern;
    SplitBehavior behavior;
  };
  std::vector<Step> steps_;
};

}  // namespace uaqf::tokenizer
