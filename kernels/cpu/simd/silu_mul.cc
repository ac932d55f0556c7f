#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

inline F32 Gated(F32 gate, F32 up) {
  const F32 denominator = Add(Broadcast(1.0f), Exp(Sub(Zero(), gate)));
  return Mul(Div(gate, denominator), up);
}

}  // namespace

void SiluMul(const float* gate, const float* up, int64_t size, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) Store(out + i, Gated(Load(gate + i), Load(up + i)));
  if (i < size) StoreFirst(out + i, size - i, Gated(LoadFirst(gate + i, size - i), LoadFirst(up + i, size - i)));
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
