#include <algorithm>
#include <cmath>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

double NegativeLogLikelihood(const float* logits, int64_t size, int64_t target) {
  const float largest = *std::max_element(logits, logits + size);
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += std::exp(static_cast<double>(logits[i]) - largest);
  return std::log(sum) + largest - logits[target];
}

}  // namespace uaqf::kernels::internal::reference
