// In which order a job visits the items of its sets: its prompts, the windows and articles of its texts, its tasks.
//
// A chunk has places [first, first + count) of that order; which items stand there, this says. All variants, repeats
// and groups share it. In a random order a job that ends before its last item has measured a sample of all, whatever
// the order of the sets: sets are often sorted by category. So every new job has one (JobSpec::shuffled); jobs that
// were stored before there was one go by their sets.
//
// What is told of the first prompts of a set (AGREEMENT), and what is no item of a set (TRAFFIC), stands in its own
// order.
//
// Records name items, never places. Stored jobs count on this order: it must never change.
#pragma once

#include <cstdint>
#include <vector>

#include "server/core/chunk.h"
#include "server/core/types.h"

namespace uaqf::core {

// Items that a job visits, of each set the first so many.
struct ItemCounts {
  std::int32_t prompts = 0;
  std::int32_t windows = 0;
  std::int32_t articles = 0;
  std::int32_t tasks = 0;
};

ItemCounts CountItems(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey);

class ItemOrder {
 public:
  // As the sets are.
  ItemOrder() = default;
  // Pure: equal arguments give equal orders. Each set has an order of its own, which only the seed and its own count
  // decide.
  ItemOrder(const JobSpec& spec, const ItemCounts& counts);

  // 0 <= place < the count of the kind's items.
  std::int32_t ItemAt(ChunkKind kind, std::int32_t place) const;
  // -1 for an item that the job does not visit; without a random order, every item is its own place.
  std::int32_t PlaceOf(ChunkKind kind, std::int32_t item) const;
  // In the order to measure them.
  std::vector<std::int32_t> ItemsOf(const Chunk& chunk) const;
  // Of every prompt and window, its place; empty: as the sets are.
  const std::vector<std::int32_t>& prompt_places() const { return prompts_.places; }
  const std::vector<std::int32_t>& window_places() const { return windows_.places; }

 private:
  // Both empty: as the set is.
  struct Permutation {
    std::vector<std::int32_t> items;   // by place
    std::vector<std::int32_t> places;  // by item
  };

  static Permutation Shuffled(std::uint64_t seed, std::int32_t count);
  const Permutation& Of(ChunkKind kind) const;

  Permutation prompts_, windows_, articles_, tasks_;
  Permutation as_is_;  // stays empty
};

}  // namespace uaqf::core
