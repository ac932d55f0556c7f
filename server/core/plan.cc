#include "server/core/plan.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "server/core/divergence.h"
#include "server/core/random.h"

namespace uaqf::core {
namespace {

std::int32_t BlockCount(std::int32_t items, std::int32_t block) { return (items + block - 1) / block; }

// The baseline first, then the others in the order of the spec.
VariantGroup BaselineFirst(const std::vector<std::string>& variants) {
  VariantGroup order(variants.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(), [&](std::int32_t v) { return variants[v] == kBaselineVariant; });
  return order;
}

class PlanBuilder {
 public:
  // Appends the chunks of items `from` to before `to` in blocks, each visited by the variants in order.
  void Visit(Chunk chunk, std::int32_t from, std::int32_t to, std::int32_t block, const VariantGroup& visitors) {
    for (chunk.first = from; chunk.first < to; chunk.first += block) {
      chunk.count = std::min(block, to - chunk.first);
      for (const std::int32_t variant : visitors) Add(chunk, variant);
    }
  }

  // The chunks that compare one group with the baseline, which is `summarized` here or, for all groups, in the first.
  void VisitCompared(Chunk chunk, std::int32_t from, std::int32_t to, const VariantGroup& compared,
                     const std::vector<bool>& streamed, std::int32_t k, std::optional<std::int32_t> summarized) {
    for (chunk.first = from; chunk.first < to; chunk.first += kWindowsPerChunk) {
      chunk.count = std::min(kWindowsPerChunk, to - chunk.first);
      if (summarized.has_value()) {
        chunk.kind = ChunkKind::kSummary;
        chunk.summary_k = k;
        Add(chunk, *summarized);
      }
      chunk.kind = ChunkKind::kDivergence;
      for (const std::int32_t variant : compared) {
        chunk.summary_k = !streamed.empty() && streamed[variant] ? k : 0;
        Add(chunk, variant);
      }
    }
  }

  std::vector<Chunk> Take() { return std::move(chunks_); }

 private:
  void Add(Chunk chunk, std::int32_t variant) {
    chunk.variant = variant;
    chunk.index = chunk.position = static_cast<std::int32_t>(chunks_.size());
    chunks_.push_back(chunk);
  }

  std::vector<Chunk> chunks_;
};

Chunk Of(ChunkKind kind, std::int32_t group, std::int32_t repeat) {
  Chunk chunk;
  chunk.kind = kind;
  chunk.group = group;
  chunk.repeat = repeat;
  return chunk;
}

// The members whose quality is measured in a group: not the baseline's twin, and the baseline's in the first alone.
VariantGroup Scored(const JobSpec& spec, const VariantGroup& members, bool with_baseline) {
  VariantGroup scored;
  for (const std::int32_t member : members) {
    const std::string& name = spec.variants[member];
    if (name != kBaselineTwin && (with_baseline || name != kBaselineVariant)) scored.push_back(member);
  }
  return scored;
}

// Whether `group` has room for one more variant.
bool Fits(const VariantGroup& group, std::int32_t variant, const HostingRoom& room) {
  if (room.workers > 0 && static_cast<std::int32_t>(group.size()) >= room.workers) return false;
  if (room.memory_bytes <= 0 || room.need_bytes.empty()) return true;
  std::int64_t bytes = room.need_bytes[variant];
  for (const std::int32_t member : group) bytes += room.need_bytes[member];
  return bytes <= room.memory_bytes;
}

}  // namespace

std::vector<VariantGroup> MakeGroups(const JobSpec& spec, const HostingRoom& room) {
  const VariantGroup order = BaselineFirst(spec.variants);
  const std::int32_t baseline = order.front();
  if (room.workers == 1 || spec.variants[baseline] != kBaselineVariant) return {order};
  std::vector<VariantGroup> groups = {{baseline}};
  for (const std::int32_t variant : order) {
    if (variant == baseline) continue;
    if (groups.back().size() > 1 && !Fits(groups.back(), variant, room)) groups.push_back({baseline});
    groups.back().push_back(variant);
  }
  return groups;
}

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

std::int32_t TaskCount(const JobSpec& spec, const Survey& survey) {
  if (spec.quality.task_set.empty()) return 0;
  const std::int32_t most = spec.quality.max_task_items;
  return most > 0 ? std::min(most, survey.task_items) : survey.task_items;
}

std::int32_t ArticleCount(const JobSpec& spec, const Survey& survey) {
  if (spec.quality.article_set.empty()) return 0;
  const std::int32_t most = spec.quality.max_articles;
  return most > 0 ? std::min(most, survey.articles) : survey.articles;
}

std::int64_t PlannedRecords(const JobSpec& spec, std::int32_t prompt_count, std::int32_t windows, std::int32_t tasks,
                            std::int32_t articles) {
  const auto count = [&](const char* name) {
    return std::count(spec.variants.begin(), spec.variants.end(), std::string(name));
  };
  const std::int64_t timed = std::int64_t{prompt_count} * spec.timing.repeats;
  const std::int64_t scored = std::int64_t{prompt_count} + windows + tasks + articles;
  const auto variants = static_cast<std::int64_t>(spec.variants.size());
  const std::int64_t twins = count(kBaselineTwin);
  const std::int64_t compared = variants - twins - count(kBaselineVariant);
  const bool summarized = spec.quality.divergence && spec.quality.divergence_mode == DivergenceMode::kStreamed;
  const std::int64_t batches = std::int64_t{spec.grid.Count()} * spec.grid.draws;
  return timed * variants + (scored + batches) * (variants - twins) +
         (spec.quality.divergence ? compared * windows : 0) + (summarized ? windows : 0);
}

namespace {

// The windows of a round: from the first to before the second.
std::pair<std::int32_t, std::int32_t> WindowsOfRound(std::int32_t windows, std::int32_t round, std::int32_t rounds) {
  const std::int64_t chunks = BlockCount(windows, kWindowsPerChunk);
  // Of the chunks, number c is in round c * rounds / chunks.
  const auto from = [&](std::int64_t r) {
    return static_cast<std::int32_t>(
        std::min<std::int64_t>(windows, (r * chunks + rounds - 1) / rounds * kWindowsPerChunk));
  };
  return {from(round), from(round + 1)};
}

// One group's chunks.
class GroupPlan {
 public:
  GroupPlan(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey, std::int32_t group,
            const VariantGroup& members, const std::vector<bool>& streamed, PlanBuilder* plan)
      : spec_(spec),
        prompts_(prompt_count),
        windows_(WindowCount(spec, survey)),
        articles_(ArticleCount(spec, survey)),
        tasks_(TaskCount(spec, survey)),
        blocks_(BlockCount(prompt_count, spec.timing.block_prompts)),
        group_(group),
        members_(members),
        scored_(Scored(spec, members, /*with_baseline=*/group == 0)),
        compared_(Scored(spec, members, /*with_baseline=*/false)),
        streamed_(streamed),
        order_(static_cast<std::int32_t>(members.size()), spec.seed),
        plan_(*plan) {
    if (group == 0 && std::count(streamed.begin(), streamed.end(), true) > 0) summarized_ = members.front();
  }

  void KindByKind() {
    VisitScored(ChunkKind::kGeneration, 0, prompts_, spec_.timing.block_prompts);
    VisitScored(ChunkKind::kPerplexity, 0, windows_, kWindowsPerChunk);
    ArticlesAndTasks();
    Compare(0, windows_);
    for (std::int32_t repeat = 0; repeat < spec_.timing.repeats; ++repeat) {
      for (std::int32_t block = 0; block < blocks_; ++block)
        Time(repeat, block, std::int64_t{repeat} * blocks_ + block);
    }
    if (!spec_.grid.Empty()) TimeGrid();
  }

  void RoundByRound() {
    ArticlesAndTasks();
    const std::int32_t size = spec_.timing.block_prompts;
    for (std::int32_t block = 0; block < blocks_; ++block) {
      VisitScored(ChunkKind::kGeneration, block * size, std::min(prompts_, (block + 1) * size), size);
      const auto [from, to] = WindowsOfRound(windows_, block, blocks_);
      VisitScored(ChunkKind::kPerplexity, from, to, kWindowsPerChunk);
      Compare(from, to);
      for (std::int32_t repeat = 0; repeat < spec_.timing.repeats; ++repeat) {
        Time(repeat, block, std::int64_t{block} * spec_.timing.repeats + repeat);
      }
    }
  }

 private:
  void VisitScored(ChunkKind kind, std::int32_t from, std::int32_t to, std::int32_t size) {
    plan_.Visit(Of(kind, group_, 0), from, to, size, scored_);
  }
  void ArticlesAndTasks() {
    VisitScored(ChunkKind::kArticle, 0, articles_, kArticlesPerChunk);
    VisitScored(ChunkKind::kTask, 0, tasks_, spec_.timing.block_prompts);
  }
  void Compare(std::int32_t from, std::int32_t to) {
    if (!spec_.quality.divergence) return;
    plan_.VisitCompared(Of(ChunkKind::kDivergence, group_, 0), from, to, compared_, streamed_,
                        FirstSummaryK(spec_.quality.context_tokens), summarized_);
  }
  // In the order of the balanced square's row `row`.
  void Time(std::int32_t repeat, std::int32_t block, std::int64_t row) {
    VariantGroup visitors;
    order_.Row(row, &visitors);
    for (std::int32_t& member : visitors) member = members_[member];
    const std::int32_t size = spec_.timing.block_prompts;
    plan_.Visit(Of(ChunkKind::kTiming, group_, repeat), block * size, std::min(prompts_, (block + 1) * size), size,
                visitors);
  }

  void TimeGrid() {
    // Without the twin, which shows noise and has no traffic of its own.
    VariantGroup loaded;
    for (const std::int32_t member : members_) {
      if (spec_.variants[member] != kBaselineTwin) loaded.push_back(member);
    }
    const BalancedOrder order(static_cast<std::int32_t>(loaded.size()), spec_.seed);
    const std::int32_t of_a_batch = spec_.grid.Count() / static_cast<std::int32_t>(spec_.grid.batches.size());
    std::int64_t row = 0;
    for (std::int32_t draw = 0; draw < spec_.grid.draws; ++draw) {
      for (std::int32_t first = 0; first < spec_.grid.Count(); first += of_a_batch) {
        VariantGroup visitors;
        order.Row(row++, &visitors);
        for (std::int32_t& member : visitors) member = loaded[member];
        plan_.Visit(Of(ChunkKind::kTraffic, group_, draw), first, first + of_a_batch, of_a_batch, visitors);
      }
    }
  }

  const JobSpec& spec_;
  const std::int32_t prompts_, windows_, articles_, tasks_, blocks_, group_;
  const VariantGroup& members_;
  const VariantGroup scored_;
  const VariantGroup compared_;
  const std::vector<bool>& streamed_;
  std::optional<std::int32_t> summarized_;
  const BalancedOrder order_;
  PlanBuilder& plan_;
};

}  // namespace

std::vector<Chunk> MakePlan(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey,
                            const std::vector<VariantGroup>& groups, const std::vector<bool>& streamed) {
  PlanBuilder plan;
  for (std::int32_t g = 0; g < static_cast<std::int32_t>(groups.size()); ++g) {
    GroupPlan group(spec, prompt_count, survey, g, groups[g], streamed, &plan);
    if (spec.allocation.InRounds()) {
      group.RoundByRound();
    } else {
      group.KindByKind();
    }
  }
  return plan.Take();
}

std::int32_t RoundCount(const JobSpec& spec, std::int32_t prompt_count) {
  return spec.allocation.InRounds() ? BlockCount(prompt_count, spec.timing.block_prompts) : 0;
}

std::int32_t RoundOf(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey, const Chunk& chunk) {
  const std::int32_t rounds = RoundCount(spec, prompt_count);
  if (rounds == 0 || chunk.kind == ChunkKind::kArticle || chunk.kind == ChunkKind::kTask) return -1;
  std::int64_t round = chunk.first / spec.timing.block_prompts;
  if (OverWindows(chunk.kind)) {
    const std::int64_t chunks = BlockCount(WindowCount(spec, survey), kWindowsPerChunk);
    round = std::int64_t{chunk.first / kWindowsPerChunk} * rounds / chunks;
  }
  return static_cast<std::int32_t>(std::int64_t{chunk.group} * rounds + round);
}

std::vector<Chunk> MakePlan(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey) {
  return MakePlan(spec, prompt_count, survey, MakeGroups(spec, {}));
}

TrafficCell CellOf(const TrafficGrid& grid, std::int32_t draw, std::int32_t item) {
  const auto inputs = static_cast<std::int32_t>(grid.input_tokens.size());
  const auto outputs = static_cast<std::int32_t>(grid.output_tokens.size());
  return {grid.batches[item / (inputs * outputs)], grid.input_tokens[item / outputs % inputs],
          grid.output_tokens[item % outputs], draw * grid.batches.back()};
}

std::int32_t MaxBatch(const JobSpec& spec) { return spec.grid.Empty() ? 1 : spec.grid.batches.back(); }

std::int32_t MaxSequenceTokens(const JobSpec& spec, const Survey& survey) {
  const std::int32_t input = spec.timing.input_tokens > 0 ? spec.timing.input_tokens : survey.longest_input_tokens;
  std::int32_t generation = std::max(input + spec.timing.max_output_tokens, survey.longest_task_tokens);
  if (!spec.grid.Empty()) {
    generation = std::max(generation, spec.grid.input_tokens.back() + spec.grid.output_tokens.back());
  }
  const bool scores = !spec.quality.text_set.empty() || !spec.quality.article_set.empty();
  return !scores ? generation : std::max(generation, spec.quality.context_tokens);
}

}  // namespace uaqf::core
