#include "worker/tokenizer/vocabulary.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

// Where the white space that ends at `end` begins, not before `begin`.
size_t SpaceBefore(std::string_view text, size_t begin, size_t end) {
  while (end > begin) {
    size_t start = end - 1;
    while (start > begin && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    if (!IsWhiteSpace(DecodeUtf8(text, start))) break;
    end = start;
  }
  return end;
}

// Where the white space that begins at `begin` ends.
size_t SpaceAfter(std::string_view text, size_t begin) {
  while (begin < text.size() && IsWhiteSpace(DecodeUtf8(text, begin))) {
    begin += Utf8Length(static_cast<unsigned char>(text[begin]));
  }
  return begin;
}

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::Create(std::vector<Token> tokens, std::vector<AddedToken> added) {
  Vocabulary vocabulary;
  vocabulary.tokens_ = std::move(tokens);
  for (AddedToken& token : added) {
    if (absl::Status status = vocabulary.CheckId(token.id); !status.ok()) return status;
    if (token.content.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "added token ", token.id, " is empty: it would be found everywhere; correct the tokenizer file"));
    }
    vocabulary.added_ids_.emplace(token.content, token.id);
    ByFirstByte& stage = token.normalized ? vocabulary.normalized_ : vocabulary.raw_;
    const auto first = static_cast<unsigned char>(token.content.front());
    stage[first].push_back(std::move(token));
  }
  for (ByFirstByte* stage : {&vocabulary.raw_, &vocabulary.normalized_}) {
    for (auto& [first, list] : *stage) {
      std::stable_sort(list.begin(), list.end(),
                       [](const AddedToken& a, const AddedToken& b) { return a.content.size() > b.content.size(); });
    }
  }
  return vocabulary;
}

absl::Status Vocabulary::CheckId(int32_t id) const {
  if (id >= 0 && id < size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("token id ", id, " is outside the vocabulary, expected 0 to ",
                                                 size() - 1, "; the tokenizer and the model may not belong together"));
}

std::optional<int32_t> Vocabulary::FindAdded(std::string_view content) const {
  const auto found = added_ids_.find(std::string(content));
  if (found == added_ids_.end()) return std::nullopt;
  return found->second;
}

const AddedToken* Vocabulary::MatchAt(std::string_view text, size_t at, const ByFirstByte& stage,
                                      bool parse_special) const {
  const auto found = stage.find(static_cast<unsigned char>(text[at]));
  if (found == stage.end()) return nullptr;
  for (const AddedToken& token : found->second) {
    if (token.control && !parse_special) continue;
    if (text.substr(at, token.content.size()) == token.content) return &token;
  }
  return nullptr;
}

std::vector<Section> Vocabulary::Split(std::string_view text, bool normalized, bool parse_special) const {
  const ByFirstByte& stage = normalized ? normalized_ : raw_;
  std::vector<Section> sections;
  size_t begin = 0;
  size_t at = stage.empty() ? text.size() : 0;
  while (at < text.size()) {
    const AddedToken* token = MatchAt(text, at, stage, parse_special);
    if (token == nullptr) {
      at += 1;
      continue;
    }
    size_t left = at;
    size_t right = at + token->content.size();
    if (token->strip_left) left = SpaceBefore(text, begin, left);
    if (token->strip_right) right = SpaceAfter(text, right);
    if (left > begin) sections.push_back({text.substr(begin, left - begin), -1});
    sections.push_back({text.substr(left, right - left), token->id});
    begin = at = right;
  }
  if (begin < text.size()) sections.push_back({text.substr(begin), -1});
  return sections;
}

}  // namespace uaqf::tokenizer
