#include "tests/server/ranking/simulated_jobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "server/core/plan.h"
#include "server/ranking/terms.h"

namespace uaqf::ranking {
namespace {

constexpr int kVariants = kSimulatedVariants, kPrompts = kSimulatedPrompts, kBlock = kSimulatedBlock,
              kRuns = kSimulatedRuns, kWindows = kSimulatedWindows;
constexpr double kRivalSpread = 0.06;  // log of tokens/s
constexpr double kLead = 0.4;          // the same
constexpr double kWindowNoise = 0.01;  // nats

std::size_t Place(int variant, int prompt, int run) {
  return static_cast<std::size_t>((variant * kPrompts + prompt) * kRuns + run);
}

double Variance(const double* values, int count) {
  const double mean = std::accumulate(values, values + count, 0.0) / count;
  double squares = 0;
  for (int i = 0; i < count; ++i) squares += (values[i] - mean) * (values[i] - mean);
  return squares / (count - 1);
}

}  // namespace

std::size_t SimulatedVariant(const std::string& name) {
  return name == "fp16" ? 0 : static_cast<std::size_t>(name[0] - 'a') + 1;
}

JobSimulation::JobSimulation(NoiseShape shape, const Profile& profile, std::uint64_t seed, VisitOrder visits,
                             Field field)
    : shape_(shape), profile_(profile), visits_(visits), field_(field), engine_(seed) {
  if (shape == NoiseShape::kPerPromptEffects) {
    prompt_spread_ = 0.5;
    interaction_ = 0.06;
  }
  if (shape != NoiseShape::kDrift) return;
  // The device's unsteadiness is part of what stability means, so the true value holds it.
  constexpr int kDraws = 400;
  for (int draw = 0; draw < kDraws; ++draw) {
    const std::vector<double> drift = DrawDrift();
    for (std::size_t at = 0; at < drift.size(); at += kRuns) {
      drift_variance_ += Variance(&drift[at], kRuns) / static_cast<double>(drift.size() / kRuns) / kDraws;
    }
  }
}

JobSimulation::Truth JobSimulation::DrawTruth() {
  Truth truth{std::vector<double>(kVariants), std::vector<double>(kVariants), std::vector<double>(kVariants)};
  std::size_t best = 1;
  const auto worth = [&](std::size_t v) {
    return profile_.weights.speed * truth.speed[v] / std::log(2) - profile_.weights.quality * truth.loss[v] / kNllUnit;
  };
  for (std::size_t v = 0; v < kVariants; ++v) {
    truth.noise[v] = Uniform(0.01, 0.03);
    if (v == 0) continue;
    truth.speed[v] = Normal(0.2, 0.2);
    truth.loss[v] = std::abs(Normal(0, 0.03));
    if (worth(v) > worth(best)) best = v;
  }
  if (field_ == Field::kClear) {
    truth.speed[best] += kLead;
    return truth;
  }
  const std::size_t rival = best + 1 < kVariants ? best + 1 : 1;
  truth.speed[rival] = truth.speed[best] + Uniform(-kRivalSpread, kRivalSpread);
  truth.loss[rival] = truth.loss[best];
  return truth;
}

std::vector<double> JobSimulation::DrawDrift() {
  const int blocks = kPrompts / kBlock, chunks = kRuns * blocks * kVariants;
  const double periods = Uniform(1, 4), phase = Uniform(0, 6.28);
  const core::BalancedOrder order(kVariants, engine_());
  std::vector<double> drift(static_cast<std::size_t>(kVariants * kPrompts * kRuns));
  std::vector<std::int32_t> row;
  double walk = 0;
  int chunk = 0;
  for (int visit = 0; visit < kRuns * blocks; ++visit) {
    const int run = visits_ == VisitOrder::kRunByRun ? visit / blocks : visit % kRuns;
    const int block = visits_ == VisitOrder::kRunByRun ? visit % blocks : visit / kRuns;
    order.Row(visit, &row);
    for (const std::int32_t variant : row) {
      const double time = static_cast<double>(chunk++) / chunks;
      walk += Normal(0, 0.02 / std::sqrt(chunks));
      const double slower = 0.05 * time + 0.01 * std::sin(6.283 * periods * time + phase) + walk;
      for (int i = 0; i < kBlock; ++i) drift[Place(variant, block * kBlock + i, run)] = slower;
    }
  }
  return drift;
}

double JobSimulation::DrawRunNoise(double deviation) {
  if (shape_ != NoiseShape::kHeavyTails) return Normal(0, deviation);
  constexpr double kDegrees = 5;
  // Scaled to the same variance; what takes less than a tenth of the time is no measurement.
  const double t = std::student_t_distribution<double>(kDegrees)(engine_);
  return std::max(-0.9, t * deviation * std::sqrt((kDegrees - 2) / kDegrees));
}

std::vector<double> JobSimulation::UtilityOf(const Truth& truth) const {
  // A latency is base * exp(-speed - gain) * (1 + e) with prompts' bases log-normal (variance a), their gains normal
  // (variance b) and run noise e of variance v. So E[rate] grows by E[1 / (1 + e)] = 1 + v to second order, and
  // S_L / L = sqrt(E[base^2 gain^2] v) / E[base gain] = exp((a + b) / 2) sqrt(v).
  const double spread = std::exp((prompt_spread_ * prompt_spread_ + interaction_ * interaction_) / 2);
  const auto stability = [&](std::size_t v) {
    return spread * std::sqrt(truth.noise[v] * truth.noise[v] + drift_variance_);
  };
  const auto speed = [&](std::size_t v) { return truth.speed[v] + std::log1p(truth.noise[v] * truth.noise[v]); };
  std::vector<double> utility(kVariants);
  for (std::size_t v = 1; v < kVariants; ++v) {
    utility[v] = profile_.weights.speed * (speed(v) - speed(0)) / std::log(2) -
                 profile_.weights.quality * truth.loss[v] / kNllUnit -
                 profile_.weights.stability * (stability(v) - stability(0)) / kStabilityUnit;
  }
  return utility;
}

void JobSimulation::AddTimings(const Truth& truth, Measurements* m) {
  const std::vector<double> drift = shape_ == NoiseShape::kDrift
                                        ? DrawDrift()
                                        : std::vector<double>(static_cast<std::size_t>(kVariants * kPrompts * kRuns));
  std::vector<double> base(kPrompts);
  for (double& seconds : base) seconds = std::exp(Normal(0, prompt_spread_));
  for (int v = 0; v < kVariants; ++v) {
    for (int prompt = 0; prompt < kPrompts; ++prompt) {
      const double gain = Normal(0, interaction_);
      for (int run = 0; run < kRuns; ++run) {
        const double noise = DrawRunNoise(truth.noise[v]) + drift[Place(v, prompt, run)];
        const double latency_s = base[prompt] * std::exp(-truth.speed[v] - gain) * (1 + noise);
        const auto ns = static_cast<std::int64_t>(latency_s * 1e9);
        TimingColumns& t = m->timings;
        t.variant.push_back(v);
        t.item.push_back(prompt);
        t.repeat.push_back(run);
        t.output_tokens.push_back(100);
        t.latency_ns.push_back(ns);
        t.prefill_ns.push_back(ns / 4);
        t.decode_ns.push_back(ns / 2);
      }
    }
  }
}

void JobSimulation::AddWindows(const Truth& truth, Measurements* m) {
  std::vector<double> difficulty(kWindows);
  for (double& nll : difficulty) nll = Normal(3, 0.3);
  for (int v = 0; v < kVariants; ++v) {
    for (int window = 0; window < kWindows; ++window) {
      const double noise = v == 0 ? 0 : Normal(0, kWindowNoise);
      m->windows.variant.push_back(v);
      m->windows.window.push_back(window);
      m->windows.scored_tokens.push_back(1000);
      m->windows.nll_sum.push_back(1000 * (difficulty[window] + truth.loss[v] + noise));
    }
  }
}

SimulatedJob JobSimulation::Next() {
  const Truth truth = DrawTruth();
  SimulatedJob job;
  for (const char* name : {"fp16", "a", "b", "c", "d"}) {
    job.measurements.variants.emplace_back().name = name;
  }
  AddTimings(truth, &job.measurements);
  AddWindows(truth, &job.measurements);
  job.utility = UtilityOf(truth);
  return job;
}

}  // namespace uaqf::ranking
