#include "worker/tokenizer/bpe_merges.h"

#include <queue>
#include <tuple>

namespace uaqf::tokenizer {
namespace {

// A doubly linked list over the places of the word; -1 ends it, and a merged-away symbol has id -1.
struct Symbol {
  int32_t id;
  int32_t previous;
  int32_t next;
};

struct Candidate {
  int32_t rank;
  int32_t left;  // place
  int32_t merged;
};

struct Later {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return std::tie(a.rank, a.left) > std::tie(b.rank, b.left);
  }
};

}  // namespace

const BpeMerges::Merge* BpeMerges::Find(int32_t left, int32_t right) const {
  const auto found = table_.find(Key(left, right));
  return found == table_.end() ? nullptr : &found->second;
}

void BpeMerges::Apply(std::vector<int32_t>& word) const {
  if (word.size() < 2) return;
  const auto size = static_cast<int32_t>(word.size());
  std::vector<Symbol> symbols(word.size());
  for (int32_t i = 0; i < size; ++i) symbols[i] = {word[i], i - 1, i + 1 < size ? i + 1 : -1};

  std::vector<Candidate> storage;
  storage.reserve(word.size());
  std::priority_queue<Candidate, std::vector<Candidate>, Later> queue(Later(), std::move(storage));
  const auto consider = [&](int32_t left) {
    if (left < 0 || symbols[left].next < 0) return;
    const Merge* merge = Find(symbols[left].id, symbols[symbols[left].next].id);
    if (merge != nullptr) queue.push({merge->rank, left, merge->merged});
  };
  for (int32_t i = 0; i + 1 < size; ++i) consider(i);

  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.left];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    // Either side may have changed since the candidate was queued.
    const Merge* merge = Find(left.id, right.id);
    if (merge == nullptr || merge->merged != top.merged) continue;
    left.id = top.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[left.next].previous = top.left;
    consider(left.previous);
    consider(top.left);
  }

  word.clear();
  for (int32_t at = 0; at >= 0; at = symbols[at].next) word.push_back(symbols[at].id);
}

}  // namespace uaqf::tokenizer
