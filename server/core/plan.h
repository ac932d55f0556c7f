// The plan: a job cut into chunks, in the order they are to be leased.
//
// Quality first, since MATCHED timing needs the baseline's output lengths: GENERATION by blocks of prompts, then
// PERPLEXITY by blocks of windows, ARTICLE by blocks of articles, TASK by blocks of items and DIVERGENCE by blocks of
// windows, within each block the baseline first and the others in the order of the spec; it does not diverge from
// itself, but has a SUMMARY where variants are compared with one (divergence.h). Then TIMING: repeat by repeat, block
// by block, each block visited by all variants in a seeded balanced order.
//
// Variants that a device does not hold together come in groups that it does, one group after the other, each planned
// like this. The baseline is timed in every group, so that each variant has one that ran in turns with it, and is
// compared by the ratio to that one; its quality, which does not drift, is measured in the first group alone.
//
// A job that may end before everything is measured goes in rounds instead: ARTICLE and TASK chunks, of which nothing
// decides, then block by block of prompts all that is measured on it, GENERATION and every repeat of TIMING, with an
// even share of the windows between them. After each round all variants have the same prompts and windows behind them.
//
// A traffic grid is timed last, draw by draw and batch size by batch size, each visited by all variants in a balanced
// order: one chunk has all combinations of a size.
//
// The baseline's twin (types.h) has TIMING chunks alone. It comes last: one worker, which hosts one variant after the
// other, leaves the drift of the whole job between the two.
#pragma once

#include <cstdint>
#include <vector>

#include "server/core/chunk.h"
#include "server/core/types.h"

namespace uaqf::core {

// Windows in one PERPLEXITY, DIVERGENCE or SUMMARY chunk: few, so that variants take turns within minutes on a slow
// device.
inline constexpr std::int32_t kWindowsPerChunk = 5;
// The combination `item`, batch by batch, input by input, output by output; its prompts in draw `draw` are the first of
// those of the largest batch.
TrafficCell CellOf(const TrafficGrid& grid, std::int32_t draw, std::int32_t item);

// Articles in one ARTICLE chunk: those of WikiText have some three windows each.
inline constexpr std::int32_t kArticlesPerChunk = 2;

// Rows of a Williams square for `n` variants, shuffled by `seed`: over each run of n rows (2n when n is odd) every
// variant stands once (twice) at every place, and every ordered pair of neighbours occurs equally often. Row r is the
// order for the r-th block visited. n >= 1.
class BalancedOrder {
 public:
  BalancedOrder(std::int32_t n, std::uint64_t seed);
  // The variants in the order of row `row` >= 0; `out` gets n entries.
  void Row(std::int64_t row, std::vector<std::int32_t>* out) const;
  // Rows after which every variant stood equally often at every place.
  std::int64_t period() const { return static_cast<std::int64_t>(rows_.size()); }

 private:
  std::vector<std::vector<std::int32_t>> rows_;
};

// What hosts variants together: the workers of one device, and its memory. 0 and empty: not known, no limit.
struct HostingRoom {
  std::int32_t workers = 0;
  std::int64_t memory_bytes = 0;
  std::vector<std::int64_t> need_bytes;  // by variant of the spec
};

// Indices of variants, the baseline first.
using VariantGroup = std::vector<std::int32_t>;

// The variants in groups that the room holds at once, the baseline in each and the others in the order of the spec.
// One group of all where they fit together, where there is no baseline to compare with, and where the room has one
// worker, which hosts one variant after the other anyway. A variant that does not fit beside the baseline has a group
// with it nevertheless. Never empty.
std::vector<VariantGroup> MakeGroups(const JobSpec& spec, const HostingRoom& room);

// Windows of the text that the job scores: all the survey found, at most `max_windows`; 0 without a text.
std::int32_t WindowCount(const JobSpec& spec, const Survey& survey);

// Items of the task set that the job scores: all the survey found, at most `max_task_items`; 0 without a task set.
std::int32_t TaskCount(const JobSpec& spec, const Survey& survey);

// Articles that the job scores: all the survey found, at most `max_articles`; 0 without an article set.
std::int32_t ArticleCount(const JobSpec& spec, const Survey& survey);

// Records a job makes when nothing fails, all variants are one group and no summary grows; each further group times the
// baseline again.
std::int64_t PlannedRecords(const JobSpec& spec, std::int32_t prompt_count, std::int32_t windows,
                            std::int32_t tasks = 0, std::int32_t articles = 0);

// Chunks with index = position = place in the result. Pure: equal arguments give equal plans. The spec is valid, as
// ValidateSpec says, and the survey has no error. `groups` as MakeGroups gives them; `streamed` as StreamedVariants
// does, or empty: none is.
std::vector<Chunk> MakePlan(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey,
                            const std::vector<VariantGroup>& groups, const std::vector<bool>& streamed = {});
// The same with all variants in one group.
std::vector<Chunk> MakePlan(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey);

// Rounds of one group; 0 for a job that does not go in rounds.
std::int32_t RoundCount(const JobSpec& spec, std::int32_t prompt_count);
// The round that a chunk belongs to, over all groups one after the other; -1 for those of none.
std::int32_t RoundOf(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey, const Chunk& chunk);

// Sequences that a job decodes together at most; 1 where it does not.
std::int32_t MaxBatch(const JobSpec& spec);

// Longest sequence a job asks of the KV cache, tokens.
std::int32_t MaxSequenceTokens(const JobSpec& spec, const Survey& survey);

}  // namespace uaqf::core
