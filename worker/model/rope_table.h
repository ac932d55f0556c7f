// Cosines and sines of RoPE for every position of a sequence, scaling applied.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/model/model_config.h"

namespace uaqf::model {

// Angles by which the head_dim / 2 pairs turn from one position to the next, in radians.
std::vector<double> RopeFrequencies(const Rope& rope, int64_t head_dim);

class RopeTable {
 public:
  RopeTable(const Rope& rope, int64_t head_dim, int64_t positions);

  const float* cos(int64_t position) const { return cos_.data() + position * half_; }
  const float* sin(int64_t position) const { return sin_.data() + position * half_; }
  int64_t bytes() const { return static_cast<int64_t>((cos_.size() + sin_.size()) * sizeof(float)); }

 private:
  int64_t half_;
  std::vector<float> cos_;
  std::vector<float> sin_;
};

}  // namespace uaqf::model
