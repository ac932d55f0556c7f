#include <limits>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

int64_t ArgMax(const float* values, int64_t size) {
  int64_t best = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < size; ++i) {
    // The second half finds the first minus infinity behind a NaN.
    if (values[i] > largest || (values[best] != values[best] && values[i] == largest)) {
      best = i;
      largest = values[i];
    }
  }
  return best;
}

}  // namespace uaqf::kernels::internal::reference
