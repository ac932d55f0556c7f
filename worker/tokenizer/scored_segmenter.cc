#include "worker/tokenizer/scored_segmenter.h"

#include <queue>
#include <tuple>

#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

// A doubly linked list over stretches of the text; -1 ends it, and a merged-away symbol is empty.
struct Symbol {
  std::string_view text;
  int32_t previous;
  int32_t next;
};

struct Candidate {
  double score;
  int32_t left;  // place
  size_t size;   // bytes of both symbols when it was queued
};

struct Worse {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return std::make_tuple(a.score, -a.left) < std::make_tuple(b.score, -b.left);
  }
};

std::vector<Symbol> Characters(std::string_view text) {
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(static_cast<unsigned char>(text[at]));
    const auto place = static_cast<int32_t>(symbols.size());
    symbols.push_back({text.substr(at, length), place - 1, place + 1});
    at += length;
  }
  if (!symbols.empty()) symbols.back().next = -1;
  return symbols;
}

// The text of two neighbours; both lie in one buffer.
std::string_view Join(const Symbol& left, const Symbol& right) {
  return {left.text.data(), left.text.size() + right.text.size()};
}

}  // namespace

const ScoredPiece* ScoredSegmenter::Find(std::string_view piece) const {
  const auto found = model_.pieces.find(absl::string_view(piece.data(), piece.size()));
  return found == model_.pieces.end() ? nullptr : &found->second;
}

void ScoredSegmenter::AppendSymbol(std::string_view symbol, std::vector<int32_t>& ids) const {
  if (const ScoredPiece* piece = Find(symbol); piece != nullptr) {
    ids.push_back(piece->id);
    return;
  }
  for (const char c : symbol) {
    const int32_t id = model_.byte_ids[static_cast<unsigned char>(c)];
    if (id >= 0) {
      ids.push_back(id);
    } else if (model_.unknown >= 0) {
      ids.push_back(model_.unknown);
      return;
    }
  }
}

absl::Status ScoredSegmenter::Encode(std::string_view normalized, bool /*at_start*/, std::vector<int32_t>& ids) const {
  std::string spaced(model_.prefix_space ? 1 : 0, ' ');
  spaced += normalized;
  const std::string text = tokenizer::Normalize({{NormalizerStep::kReplace, " ", "\xE2\x96\x81"}}, spaced);
  std::vector<Symbol> symbols = Characters(text);

  std::priority_queue<Candidate, std::vector<Candidate>, Worse> queue;
  const auto consider = [&](int32_t left) {
    if (left < 0 || symbols[left].next < 0) return;
    const std::string_view joined = Join(symbols[left], symbols[symbols[left].next]);
    if (const ScoredPiece* piece = Find(joined); piece != nullptr) queue.push({piece->score, left, joined.size()});
  };
  for (int32_t i = 0; i + 1 < static_cast<int32_t>(symbols.size()); ++i) consider(i);

  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.left];
    if (left.text.empty() || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    // Either side may have grown since the candidate was queued.
    if (left.text.size() + right.text.size() != top.size) continue;
    left.text = Join(left, right);
    right.text = {};
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = top.left;
    consider(left.previous);
    consider(top.left);
  }
  for (int32_t at = symbols.empty() ? -1 : 0; at >= 0; at = symbols[at].next) AppendSymbol(symbols[at].text, ids);
  return absl::OkStatus();
}

}  // namespace uaqf::tokenizer
