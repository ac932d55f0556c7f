#include "kernels/rms_norm.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {

void RmsNorm(const float* x, const float* weight, int64_t size, float epsilon, float* out, Isa isa) {
  UAQF_KERNELS_PICK(isa, RmsNorm)(x, weight, size, epsilon, out);
}

}  // namespace uaqf::kernels
