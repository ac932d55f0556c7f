// The tokens of a model: what each id stands for, and the added tokens that are cut out of a text before it is
// segmented.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace uaqf::tokenizer {

enum class TokenKind : uint8_t {
  kNormal,
  // Stands for text outside the vocabulary.
  kUnknown,
  // Never part of a text: BOS, EOS, turn markers. Cut out only where a caller asks for it.
  kControl,
  // Text that is always one token, wherever it occurs.
  kUserDefined,
};

struct Token {
  // What the token decodes to; not necessarily whole characters. The name of a control token.
  std::string bytes;
  TokenKind kind = TokenKind::kNormal;
};

// A token that is found in the text itself, before segmentation.
struct AddedToken {
  std::string content;
  int32_t id = -1;
  // Cut out only when control tokens are asked for.
  bool control = false;
  // Found in the normalized text rather than in the raw one; `content` is then normalized as well.
  bool normalized = false;
  // Takes the white space before, or after, with it.
  bool strip_left = false;
  bool strip_right = false;
};

// A stretch of text, or one added token.
struct Section {
  std::string_view text;
  // Id of the added token; -1 for text.
  int32_t id = -1;
};

class Vocabulary {
 public:
  // `tokens[id]`; every added token's id must lie inside. INVALID_ARGUMENT names the first that does not.
  [[nodiscard]] static absl::StatusOr<Vocabulary> Create(std::vector<Token> tokens, std::vector<AddedToken> added);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  // INVALID_ARGUMENT: outside [0, size()).
  [[nodiscard]] absl::Status CheckId(int32_t id) const;
  // The id must be inside.
  const Token& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }
  // Id of the added token with exactly this content.
  std::optional<int32_t> FindAdded(std::string_view content) const;

  // Cuts the added tokens out of `text`: the leftmost first, the longest of those that begin at one place. Views lie
  // in `text`. Only tokens found in normalized text, or only the others, as `normalized` says.
  std::vector<Section> Split(std::string_view text, bool normalized, bool parse_special) const;

 private:
  // Added tokens of one stage, by their first byte, longest first.
  using ByFirstByte = std::unordered_map<unsigned char, std::vector<AddedToken>>;
  const AddedToken* MatchAt(std::string_view text, size_t at, const ByFirstByte& stage, bool parse_special) const;

  std::vector<Token> tokens_;
  std::unordered_map<std::string, int32_t> added_ids_;
  ByFirstByte raw_;
  ByFirstByte normalized_;
};

}  // namespace uaqf::tokenizer
