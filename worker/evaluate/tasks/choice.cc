#include "worker/evaluate/tasks/choice.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace uaqf::evaluate {

int32_t BestChoice(std::span<const double> log_likelihoods) {
  int32_t best = -1;
  for (int32_t i = 0; i < static_cast<int32_t>(log_likelihoods.size()); ++i) {
    const double value = log_likelihoods[static_cast<size_t>(i)];
    if (std::isnan(value)) continue;
    if (best < 0 || value > log_likelihoods[static_cast<size_t>(best)]) best = i;
  }
  return best;
}

double ChoiceMargin(std::span<const double> log_likelihoods, int32_t right) {
  double wrong = -std::numeric_limits<double>::infinity();
  for (int32_t i = 0; i < static_cast<int32_t>(log_likelihoods.size()); ++i) {
    if (i != right) wrong = std::max(wrong, log_likelihoods[static_cast<size_t>(i)]);
  }
  return log_likelihoods[static_cast<size_t>(right)] - wrong;
}

}  // namespace uaqf::evaluate
