#include "worker/model/rope_table.h"

#include <cmath>
#include <numbers>

namespace uaqf::model {
namespace {

// Llama 3: waves longer than the original context / low are stretched by the factor, those shorter than it / high are
// left, and between them the two are blended.
double ScaleLlama3(const Rope& rope, double frequency) {
  const double turns = static_cast<double>(rope.original_context) * frequency / (2.0 * std::numbers::pi);
  if (turns < rope.low_frequency_factor) return frequency / rope.factor;
  if (turns > rope.high_frequency_factor) return frequency;
  const double blend = (turns - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1.0 - blend) * frequency / rope.factor + blend * frequency;
}

}  // namespace

std::vector<double> RopeFrequencies(const Rope& rope, int64_t head_dim) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    switch (rope.scaling) {
      case RopeScaling::kNone:
        break;
      case RopeScaling::kLinear:
        frequency /= rope.factor;
        break;
      case RopeScaling::kLlama3:
        frequency = ScaleLlama3(rope, frequency);
        break;
      case RopeScaling::kFactors:
        frequency /= static_cast<double>(rope.frequency_factors[static_cast<size_t>(i)]);
        break;
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

RopeTable::RopeTable(const Rope& rope, int64_t head_dim, int64_t positions) : half_(head_dim / 2) {
  const std::vector<double> frequencies = RopeFrequencies(rope, head_dim);
  cos_.reserve(static_cast<size_t>(positions * half_));
  sin_.reserve(static_cast<size_t>(positions * half_));
  for (int64_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      // In double: at position 4000 a float angle would be off by 1e-4.
      const double angle = static_cast<double>(position) * frequency;
      cos_.push_back(static_cast<float>(std::cos(angle)));
      sin_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

}  // namespace uaqf::model
