#include "server/core/plan.h"

#include <algorithm>
#include <numeric>

#include "server/core/random.h"

namespace uaqf::core {
namespace {

std::int32_t BlockCount(std::int32_t items, std::int32_t block) { return (items + block - 1) / block; }

// The baseline first, then the others in the order of the spec.
std::vector<std::int32_t> BaselineFirst(const std::vector<std::string>& variants) {
  std::vector<std::int32_t> order(variants.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(), [&](std::int32_t v) { return variants[v] == kBaselineVariant; });
  return order;
}

class PlanBuilder {
 public:
  // Appends the chunks of `items` items in blocks, each block visited by the variants in the order `order(block)`
  // gives.
  template <typename Order>
  void Visit(ChunkKind kind, std::int32_t repeat, std::int32_t items, std::int32_t block, Order order) {
    for (std::int32_t b = 0; b < BlockCount(items, block); ++b) {
      for (std::int32_t variant : order(b))
        Append(kind, variant, repeat, b * block, std::min(block, items - b * block));
    }
  }

  std::vector<Chunk> Take() { return std::move(chunks_); }

 private:
  void Append(ChunkKind kind, std::int32_t variant, std::int32_t repeat, std::int32_t first, std::int32_t count) {
    Chunk chunk;
    chunk.index = chunk.position = static_cast<std::int32_t>(chunks_.size());
    chunk.kind = kind;
    chunk.variant = variant;
    chunk.repeat = repeat;
    chunk.first = first;
    chunk.count = count;
    chunks_.push_back(chunk);
  }

  std::vector<Chunk> chunks_;
};

}  // namespace

BalancedOrder::BalancedOrder(std::int32_t n, std::uint64_t seed) {
  // Williams: the first row zigzags 0, 1, n-1, 2, n-2, ..., so that the steps between neighbours are all different; the
  // other rows shift it. With n odd the steps only pair up after the mirrored rows are added.
  std::vector<std::int32_t> zigzag(n);
  for (std::int32_t j = 0; j < n; ++j) zigzag[j] = j == 0 ? 0 : (j % 2 == 1 ? (j + 1) / 2 : n - j / 2);
  for (std::int32_t shift = 0; shift < n; ++shift) {
    std::vector<std::int32_t> row(n);
    for (std::int32_t j = 0; j < n; ++j) row[j] = (zigzag[j] + shift) % n;
    rows_.push_back(row);
    if (n % 2 == 1 && n > 1) rows_.emplace_back(row.rbegin(), row.rend());
  }
  Random random(seed);
  std::vector<std::int32_t> label(n);
  std::iota(label.begin(), label.end(), 0);
  random.Shuffle(&label);
  random.Shuffle(&rows_);
  for (auto& row : rows_) {
    for (auto& variant : row) variant = label[variant];
  }
}

void BalancedOrder::Row(std::int64_t row, std::vector<std::int32_t>* out) const { *out = rows_[row % period()]; }

std::int32_t WindowCount(const JobSpec& spec, const Survey& survey) {
  if (spec.quality.text_set.empty()) return 0;
  const std::int32_t most = spec.quality.max_windows;
  return most > 0 ? std::min(most, survey.text_windows) : survey.text_windows;
}

std::int64_t PlannedRecords(const JobSpec& spec, std::int32_t prompt_count, std::int32_t windows) {
  const std::int64_t per_variant = std::int64_t{prompt_count} * (spec.timing.repeats + 1) + windows;
  return per_variant * static_cast<std::int64_t>(spec.variants.size());
}

std::vector<Chunk> MakePlan(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey) {
  const std::vector<std::int32_t> baseline_first = BaselineFirst(spec.variants);
  const auto fixed = [&](std::int32_t) -> const std::vector<std::int32_t>& { return baseline_first; };
  const std::int32_t block = spec.timing.block_prompts;

  PlanBuilder plan;
  plan.Visit(ChunkKind::kGeneration, 0, prompt_count, block, fixed);
  plan.Visit(ChunkKind::kPerplexity, 0, WindowCount(spec, survey), kWindowsPerChunk, fixed);

  const BalancedOrder order(static_cast<std::int32_t>(spec.variants.size()), spec.seed);
  const std::int64_t blocks = BlockCount(prompt_count, block);
  std::vector<std::int32_t> row;
  for (std::int32_t repeat = 0; repeat < spec.timing.repeats; ++repeat) {
    plan.Visit(ChunkKind::kTiming, repeat, prompt_count, block,
               [&](std::int32_t b) -> const std::vector<std::int32_t>& {
                 order.Row(repeat * blocks + b, &row);
                 return row;
               });
  }
  return plan.Take();
}

std::int32_t MaxSequenceTokens(const JobSpec& spec, const Survey& survey) {
  const std::int32_t input = spec.timing.input_tokens > 0 ? spec.timing.input_tokens : survey.longest_input_tokens;
  const std::int32_t generation = input + spec.timing.max_output_tokens;
  return spec.quality.text_set.empty() ? generation : std::max(generation, spec.quality.context_tokens);
}

}  // namespace uaqf::core
