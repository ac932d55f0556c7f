#include "kernels/argmax.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {

int64_t ArgMax(const float* values, int64_t size, Isa isa) { return UAQF_KERNELS_PICK(isa, ArgMax)(values, size); }

}  // namespace uaqf::kernels
