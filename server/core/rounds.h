// The rounds of a job that may end before everything is measured (plan.h), and the stages they come in.
//
// A round is all that is measured on one block of prompts, with an even share of the windows. Decisions need rounds
// that all variants have behind them. Where not all are hosted at once, a worker would have to load another variant for
// each; so variants take turns in stages of several rounds, every stage as long as all before it together:
//
//   rounds   0 | 1 | 2 3 | 4 5 6 7 | 8 ...            (blocks of 8 prompts; of fewer, the first stage has more rounds)
//   turns    all of stage 0, group by group; then all of stage 1, group by group; ...
//
// A turn is what is measured of one group in one stage; AGREEMENT, ARTICLE and TASK chunks, which are in no round,
// belong to the first turn of their group.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "server/core/chunk.h"
#include "server/core/types.h"

namespace uaqf::core {

// Prompts of the first stage: with fewer nothing can be told yet (confidence_sequence.h).
inline constexpr std::int32_t kFirstStagePrompts = 8;
// A stage takes so many times as long as the loads it costs.
inline constexpr double kWorkPerLoad = 10;

class Rounds {
 public:
  // Of a job that does not go in rounds: none, and one turn.
  Rounds() = default;
  Rounds(const JobSpec& spec, std::int32_t prompt_count, const Survey& survey, std::int32_t groups);

  // Rounds of one group, and of all groups one after the other.
  std::int32_t per_group() const { return per_group_; }
  std::int32_t count() const { return per_group_ * groups_; }
  std::int32_t groups() const { return groups_; }
  std::int32_t stages() const { return static_cast<std::int32_t>(ends_.size()); }
  std::int32_t turns() const { return per_group_ == 0 ? 1 : stages() * groups_; }

  // Rounds [first, end) of a group that stage `stage` has.
  std::int32_t FirstOf(std::int32_t stage) const { return stage == 0 ? 0 : ends_[stage - 1]; }
  std::int32_t EndOf(std::int32_t stage) const { return ends_[stage]; }
  // Windows [first, second) of a group's round.
  std::pair<std::int32_t, std::int32_t> WindowsOf(std::int32_t round) const;

  // Numbered in the order of the plan, over all groups; -1 for a chunk of no round.
  std::int32_t RoundOf(const Chunk& chunk) const;
  std::int32_t TurnOf(const Chunk& chunk) const;

  // The stage that the variants shall work to before one makes room for another, from `stage` on: the first by whose
  // end the rounds since then take kWorkPerLoad times as long as `loads`, the loads of one stage in rounds of all
  // variants. A rest that would be shorter than that is taken with it.
  std::int32_t LastStage(std::int32_t stage, double loads) const;

 private:
  std::int32_t RoundInGroup(const Chunk& chunk) const;
  std::int32_t StageOf(std::int32_t round_in_group) const;

  std::int32_t per_group_ = 0;
  std::int32_t groups_ = 1;
  std::int32_t block_prompts_ = 1;
  std::int32_t windows_ = 0;
  std::vector<std::int32_t> ends_;  // of the stages, in rounds of a group
};

}  // namespace uaqf::core
