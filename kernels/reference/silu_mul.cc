#include <cmath>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

void SiluMul(const float* gate, const float* up, int64_t size, float* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

}  // namespace uaqf::kernels::internal::reference
