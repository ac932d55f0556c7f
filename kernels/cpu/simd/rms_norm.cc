#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

void RmsNorm(const float* x, const float* weight, int64_t size, float epsilon, float* out) {
  F32 even = Zero();
  F32 odd = Zero();
  int64_t i = 0;
  for (; i + 2 * kLanes <= size; i += 2 * kLanes) {
    const F32 a = Load(x + i);
    const F32 b = Load(x + i + kLanes);
    even = MulAdd(a, a, even);
    odd = MulAdd(b, b, odd);
  }
  for (; i < size; i += kLanes) {
    const F32 a = size - i >= kLanes ? Load(x + i) : LoadFirst(x + i, size - i);
    even = MulAdd(a, a, even);
  }
  const float mean = SumLanes(Add(even, odd)) / static_cast<float>(size);
  const F32 factor = Broadcast(1.0f / __builtin_sqrtf(mean + epsilon));
  for (i = 0; i + kLanes <= size; i += kLanes) Store(out + i, Mul(Mul(Load(x + i), factor), Load(weight + i)));
  if (i < size) {
    const int64_t left = size - i;
    StoreFirst(out + i, left, Mul(Mul(LoadFirst(x + i, left), factor), LoadFirst(weight + i, left)));
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
