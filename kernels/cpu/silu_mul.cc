#include "kernels/silu_mul.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {

void SiluMul(const float* gate, const float* up, int64_t size, float* out, Isa isa) {
  UAQF_KERNELS_PICK(isa, SiluMul)(gate, up, size, out);
}

}  // namespace uaqf::kernels
