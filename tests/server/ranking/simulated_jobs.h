// Synthetic jobs whose best variant is known: what every statement about uncertainty is held against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "server/ranking/measurements.h"
#include "server/ranking/profile.h"

namespace uaqf::ranking {

enum class NoiseShape { kNormal, kHeavyTails, kDrift, kPerPromptEffects };
// What a job does first: all blocks of prompts, or all runs of a block.
enum class VisitOrder { kRunByRun, kBlockByBlock };
// Whether the best variant has a rival, or leads.
enum class Field { kClose, kClear };

inline constexpr int kSimulatedVariants = 5, kSimulatedPrompts = 40, kSimulatedBlock = 5, kSimulatedRuns = 3,
                     kSimulatedWindows = 20;

struct SimulatedJob {
  Measurements measurements;
  std::vector<double> utility;  // [variant] true value under the profile, fp16's is 0

  std::size_t best() const {
    return static_cast<std::size_t>(std::max_element(utility.begin(), utility.end()) - utility.begin());
  }
};

// "fp16", "a", "b", ... to 0, 1, 2, ...
std::size_t SimulatedVariant(const std::string& name);

// Makes jobs of fp16 and four variants, 40 prompts in blocks of 5, 3 runs, 20 windows. Speeds and losses of the
// variants differ as those of quantized models do; in each job of a close field a rival of the best differs from it by
// about what the noise can hide; in a clear one the best is half as fast again as it would be. Runs vary by 1 to 3 %,
// windows by 0.01 nats.
//   kNormal: that is all, and prompts differ by 20 %.
//   kHeavyTails: the run noise is Student's t with 5 degrees of freedom.
//   kDrift: the device becomes 5 % slower over the job, with a wave of 1 % and a random walk of 2 %; chunks follow each
//     other as in a plan (core::BalancedOrder).
//   kPerPromptEffects: prompts differ by 50 %, and what a variant gains differs from prompt to prompt by 6 %.
class JobSimulation {
 public:
  // `profile` weighs speed, quality and relative stability, against fp16.
  JobSimulation(NoiseShape shape, const Profile& profile, std::uint64_t seed, VisitOrder visits = VisitOrder::kRunByRun,
                Field field = Field::kClose);

  SimulatedJob Next();

 private:
  struct Truth {
    std::vector<double> speed;  // log of tokens/s to fp16's
    std::vector<double> loss;   // nats per token
    std::vector<double> noise;  // relative standard deviation of a run
  };

  double Normal(double mean, double deviation) { return std::normal_distribution<double>(mean, deviation)(engine_); }
  double Uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine_); }
  Truth DrawTruth();
  // Relative slowdown of every (variant, prompt, run).
  std::vector<double> DrawDrift();
  double DrawRunNoise(double deviation);
  std::vector<double> UtilityOf(const Truth& truth) const;
  void AddTimings(const Truth& truth, Measurements* m);
  void AddWindows(const Truth& truth, Measurements* m);

  const NoiseShape shape_;
  const Profile profile_;
  const VisitOrder visits_;
  const Field field_;
  std::mt19937_64 engine_;
  double prompt_spread_ = 0.2;
  double interaction_ = 0.01;
  double drift_variance_ = 0;  // mean variance of the drift over the runs of a prompt
};

}  // namespace uaqf::ranking
