#include "server/core/item_order.h"

#include <algorithm>
#include <numeric>

#include "server/core/plan.h"
#include "server/core/random.h"

namespace uaqf::core {
namespace {

// Seeds of unlike sets differ, or sets of equal size would have equal orders.
constexpr std::uint64_t kPrompts = 0x70726f6d7074u;
constexpr std::uint64_t kWindows = 0x77696e646f77u;
constexpr std::uint64_t kArticles = 0x61727469636cu;
constexpr std::uint64_t kTasks = 0x7461736b73u;

}  // namespace

ItemCounts CountItems(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey) {
  return {prompt_count, WindowCount(spec, survey), ArticleCount(spec, survey), TaskCount(spec, survey)};
}

ItemOrder::ItemOrder(const JobSpec& spec, const ItemCounts& counts) {
  if (!spec.shuffled) return;
  prompts_ = Shuffled(spec.seed ^ kPrompts, counts.prompts);
  windows_ = Shuffled(spec.seed ^ kWindows, counts.windows);
  articles_ = Shuffled(spec.seed ^ kArticles, counts.articles);
  tasks_ = Shuffled(spec.seed ^ kTasks, counts.tasks);
}

ItemOrder::Permutation ItemOrder::Shuffled(std::uint64_t seed, std::int32_t count) {
  Permutation order;
  order.items.resize(static_cast<std::size_t>(std::max(count, 0)));
  std::iota(order.items.begin(), order.items.end(), 0);
  Random random(seed);
  random.Shuffle(&order.items);
  order.places.resize(order.items.size());
  for (std::int32_t place = 0; place < count; ++place) order.places[order.items[place]] = place;
  return order;
}

const ItemOrder::Permutation& ItemOrder::Of(ChunkKind kind) const {
  if (kind == ChunkKind::kAgreement || kind == ChunkKind::kTraffic) return as_is_;
  if (OverWindows(kind)) return windows_;
  if (kind == ChunkKind::kArticle) return articles_;
  return kind == ChunkKind::kTask ? tasks_ : prompts_;
}

std::int32_t ItemOrder::ItemAt(ChunkKind kind, std::int32_t place) const {
  const Permutation& order = Of(kind);
  return order.items.empty() ? place : order.items[place];
}

std::int32_t ItemOrder::PlaceOf(ChunkKind kind, std::int32_t item) const {
  const Permutation& order = Of(kind);
  if (order.places.empty()) return item;
  return item >= 0 && item < static_cast<std::int32_t>(order.places.size()) ? order.places[item] : -1;
}

std::vector<std::int32_t> ItemOrder::ItemsOf(const Chunk& chunk) const {
  std::vector<std::int32_t> items;
  for (std::int32_t place = chunk.first; place < chunk.first + chunk.count; ++place) {
    items.push_back(ItemAt(chunk.kind, place));
  }
  return items;
}

}  // namespace uaqf::core
