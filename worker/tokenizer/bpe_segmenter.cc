#include "worker/tokenizer/bpe_segmenter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"
#include "worker/tokenizer/byte_alphabet.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

// Longer pieces seldom come twice, and keeping them would only cost memory.
constexpr size_t kMaxCachedPiece = 64;

// Pieces that each begin with `mark`, but for what stands before the first one.
std::vector<std::string_view> SplitAtMarks(std::string_view text, std::string_view mark) {
  std::vector<std::string_view> pieces;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(mark, begin + 1), text.size());
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

}  // namespace

BpeSegmenter::BpeSegmenter(BpeModel model) : model_(std::move(model)) {
  for (size_t byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = Find(model_.byte_level ? ByteAlphabet()[byte] : ByteToken(static_cast<uint8_t>(byte)));
  }
}

int32_t BpeSegmenter::Find(std::string_view token) const {
  const auto found = model_.ids.find(absl::string_view(token.data(), token.size()));
  return found == model_.ids.end() ? -1 : found->second;
}

std::string BpeSegmenter::Normalize(std::string_view text) const {
  return tokenizer::Normalize(model_.normalizer, text);
}

std::string BpeSegmenter::MarkSpaces(std::string_view text, bool at_start) const {
  const Metaspace& metaspace = *model_.metaspace;
  std::string marked = tokenizer::Normalize({{NormalizerStep::kReplace, " ", metaspace.mark}}, text);
  const bool prepends = metaspace.prepend == Metaspace::kAlways || (metaspace.prepend == Metaspace::kFirst && at_start);
  if (prepends && marked.compare(0, metaspace.mark.size(), metaspace.mark) != 0) marked.insert(0, metaspace.mark);
  return marked;
}

absl::Status BpeSegmenter::Encode(std::string_view normalized, bool at_start, std::vector<int32_t>& ids) const {
  std::string changed;
  std::string_view text = normalized;
  if (model_.metaspace.has_value()) {
    text = changed = MarkSpaces(text, at_start);
  } else if (model_.prefix_space && !text.empty() && text.front() != ' ') {
    text = changed.append(" ").append(text);
  }

  absl::StatusOr<std::vector<std::string_view>> pieces = model_.pre_tokenizer.Split(text);
  if (!pieces.ok()) return pieces.status();
  if (model_.metaspace.has_value() && model_.metaspace->split) *pieces = SplitAtMarks(text, model_.metaspace->mark);

  // Where in `ids` a piece was encoded before.
  absl::flat_hash_map<absl::string_view, std::pair<size_t, size_t>> seen;
  for (const std::string_view piece : *pieces) {
    const absl::string_view key(piece.data(), piece.size());
    if (const auto found = seen.find(key); found != seen.end()) {
      const auto [begin, count] = found->second;
      for (size_t i = begin; i < begin + count; ++i) ids.push_back(int32_t{ids[i]});
      continue;
    }
    const std::vector<int32_t> word = EncodePiece(piece);
    if (piece.size() <= kMaxCachedPiece) seen.emplace(key, std::make_pair(ids.size(), word.size()));
    ids.insert(ids.end(), word.begin(), word.end());
  }
  return absl::OkStatus();
}

std::vector<int32_t> BpeSegmenter::EncodePiece(std::string_view piece) const {
  if (model_.ignore_merges) {
    std::string token;
    if (model_.byte_level) {
      for (const char c : piece) token += ByteAlphabet()[static_cast<unsigned char>(c)];
    } else {
      token = piece;
    }
    if (const int32_t whole = Find(token); whole >= 0) return {whole};
  }
  std::vector<int32_t> word = model_.byte_level ? SymbolsOfBytes(piece) : SymbolsOfCharacters(piece);
  model_.merges.Apply(word);
  return word;
}

std::vector<int32_t> BpeSegmenter::SymbolsOfBytes(std::string_view piece) const {
  std::vector<int32_t> word;
  word.reserve(piece.size());
  bool after_unknown = false;
  for (const char c : piece) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      word.push_back(id);
    } else if (model_.unknown >= 0 && !(after_unknown && model_.fuse_unknown)) {
      word.push_back(model_.unknown);
    }
    after_unknown = id < 0;
  }
  return word;
}

std::vector<int32_t> BpeSegmenter::SymbolsOfCharacters(std::string_view piece) const {
  std::vector<int32_t> word;
  word.reserve(piece.size());
  bool after_unknown = false;
  for (size_t at = 0; at < piece.size();) {
    const std::string_view character = piece.substr(at, Utf8Length(static_cast<unsigned char>(piece[at])));
    at += character.size();
    const int32_t id = Find(character);
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
    if (id >= 0) {
      word.push_back(id);
      after_unknown = false;
    } else if (model_.byte_fallback &&
               std::all_of(character.begin(), character.end(), [&](char c) { return byte_id(c) >= 0; })) {
      for (const char c : character) word.push_back(byte_id(c));
      after_unknown = false;
    } else {
      if (model_.unknown >= 0 && !(after_unknown && model_.fuse_unknown)) word.push_back(model_.unknown);
      after_unknown = true;
    }
  }
  return word;
}

}  // namespace uaqf::tokenizer
