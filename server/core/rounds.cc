#include "server/core/rounds.h"

#include <algorithm>
#include <utility>

#include "server/core/plan.h"

namespace uaqf::core {
namespace {

std::int32_t CeilDiv(std::int32_t a, std::int32_t b) { return (a + b - 1) / b; }

}  // namespace

Rounds::Rounds(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey, std::int32_t groups) {
  if (!spec.allocation.InRounds()) return;
  block_prompts_ = spec.timing.block_prompts;
  per_group_ = CeilDiv(prompt_count, block_prompts_);
  groups_ = groups;
  windows_ = WindowCount(spec, survey);
  for (std::int64_t end = CeilDiv(kFirstStagePrompts, block_prompts_); end < per_group_; end *= 2) {
    ends_.push_back(static_cast<std::int32_t>(end));
  }
  ends_.push_back(per_group_);
}

std::pair<std::int32_t, std::int32_t> Rounds::WindowsOf(std::int32_t round) const {
  const std::int64_t chunks = CeilDiv(windows_, kWindowsPerChunk);
  // Of the chunks, number c is in round c * rounds / chunks.
  const auto from = [&](std::int64_t r) {
    return static_cast<std::int32_t>(
        std::min<std::int64_t>(windows_, (r * chunks + per_group_ - 1) / per_group_ * kWindowsPerChunk));
  };
  return {from(round), from(round + 1)};
}

std::int32_t Rounds::RoundInGroup(const Chunk& chunk) const {
  const bool in_round =
      OverWindows(chunk.kind) || chunk.kind == ChunkKind::kGeneration || chunk.kind == ChunkKind::kTiming;
  if (per_group_ == 0 || !in_round) return -1;
  if (!OverWindows(chunk.kind)) return chunk.first / block_prompts_;
  const std::int64_t chunks = CeilDiv(windows_, kWindowsPerChunk);
  return static_cast<std::int32_t>(std::int64_t{chunk.first / kWindowsPerChunk} * per_group_ / chunks);
}

std::int32_t Rounds::StageOf(std::int32_t round_in_group) const {
  return static_cast<std::int32_t>(std::upper_bound(ends_.begin(), ends_.end(), round_in_group) - ends_.begin());
}

std::int32_t Rounds::RoundOf(const Chunk& chunk) const {
  const std::int32_t round = RoundInGroup(chunk);
  if (round < 0) return -1;
  const std::int32_t stage = StageOf(round);
  const std::int32_t size = EndOf(stage) - FirstOf(stage);
  return FirstOf(stage) * groups_ + chunk.group * size + (round - FirstOf(stage));
}

std::int32_t Rounds::TurnOf(const Chunk& chunk) const {
  if (per_group_ == 0) return 0;
  const std::int32_t round = RoundInGroup(chunk);
  return (round < 0 ? 0 : StageOf(round)) * groups_ + chunk.group;
}

std::int32_t Rounds::LastStage(std::int32_t stage, double loads) const {
  const double least = kWorkPerLoad * loads;
  std::int32_t last = stage;
  while (last + 1 < stages() && EndOf(last) - FirstOf(stage) < least) ++last;
  return per_group_ - EndOf(last) < least ? stages() - 1 : last;
}

}  // namespace uaqf::core
