#include "kernels/fp16.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {

void Fp16ToFloat(const uint16_t* source, int64_t size, float* out, Isa isa) {
  UAQF_KERNELS_PICK(isa, Fp16ToFloat)(source, size, out);
}

void FloatToFp16(const float* source, int64_t size, uint16_t* out, Isa isa) {
  UAQF_KERNELS_PICK(isa, FloatToFp16)(source, size, out);
}

}  // namespace uaqf::kernels
