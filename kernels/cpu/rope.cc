#include "kernels/rope.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {

void ApplyRope(float* x, int64_t heads, int64_t head_dim, int64_t rotary_dim, const float* cos, const float* sin,
               Isa isa) {
  UAQF_KERNELS_PICK(isa, ApplyRope)(x, heads, head_dim, rotary_dim, cos, sin);
}

}  // namespace uaqf::kernels
