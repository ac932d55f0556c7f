// Byte-pair encoding: which two neighbouring tokens become one, and in which order.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace uaqf::tokenizer {

// The merges of a model. Immutable once filled; Apply may be called from any thread.
class BpeMerges {
 public:
  void Reserve(size_t merges) { table_.reserve(merges); }

  // `left` then `right` becomes `merged`; a smaller rank goes first. A repeated pair keeps its later rank, as in the
  // Hugging Face tokenizers.
  void Add(int32_t left, int32_t right, int32_t rank, int32_t merged) { table_[Key(left, right)] = {rank, merged}; }

  // Merges within one word until no pair is left: the smallest rank first, the leftmost of equals.
  // Time O(n log n) in its length.
  void Apply(std::vector<int32_t>& word) const;

 private:
  struct Merge {
    int32_t rank;
    int32_t merged;
  };
  static uint64_t Key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  }
  const Merge* Find(int32_t left, int32_t right) const;

  absl::flat_hash_map<uint64_t, Merge> table_;
};

}  // namespace uaqf::tokenizer
