#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

void Fp16ToFloat(const uint16_t* source, int64_t size, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) Store(out + i, LoadHalf(source + i));
  if (i < size) StoreFirst(out + i, size - i, LoadHalfFirst(source + i, size - i));
}

void FloatToFp16(const float* source, int64_t size, uint16_t* out) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) StoreHalf(out + i, Load(source + i));
  if (i < size) {
    uint16_t tail[kLanes];
    StoreHalf(tail, LoadFirst(source + i, size - i));
    for (int64_t j = 0; i + j < size; ++j) out[i + j] = tail[j];
  }
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
