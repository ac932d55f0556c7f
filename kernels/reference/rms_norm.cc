#include <cmath>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

void RmsNorm(const float* x, const float* weight, int64_t size, float epsilon, float* out) {
  float sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += x[i] * x[i];
  const float factor = 1.0f / std::sqrt(sum / static_cast<float>(size) + epsilon);
  for (int64_t i = 0; i < size; ++i) out[i] = x[i] * factor * weight[i];
}

}  // namespace uaqf::kernels::internal::reference
