#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

inline void RotatePairs(F32 low, F32 high, F32 cosine, F32 sine, F32* new_low, F32* new_high) {
  *new_low = NegMulAdd(high, sine, Mul(low, cosine));
  *new_high = MulAdd(low, sine, Mul(high, cosine));
}

}  // namespace

void ApplyRope(float* x, int64_t heads, int64_t head_dim, int64_t rotary_dim, const float* cos, const float* sin) {
  const int64_t half = rotary_dim / 2;
  for (int64_t head = 0; head < heads; ++head) {
    float* low = x + head * head_dim;
    float* high = low + half;
    F32 a, b;
    int64_t i = 0;
    for (; i + kLanes <= half; i += kLanes) {
      RotatePairs(Load(low + i), Load(high + i), Load(cos + i), Load(sin + i), &a, &b);
      Store(low + i, a);
      Store(high + i, b);
    }
    if (i < half) {
      const int64_t left = half - i;
      RotatePairs(LoadFirst(low + i, left), LoadFirst(high + i, left), LoadFirst(cos + i, left),
                  LoadFirst(sin + i, left), &a, &b);
      StoreFirst(low + i, left, a);
      StoreFirst(high + i, left, b);
    }
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
