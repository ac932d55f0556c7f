#include "kernels/fp16.h"

#include <bit>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels {

float Fp16ToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  const uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // zero and subnormals
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t FloatToFp16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65536 and up; 65520 rounds up below
  if (magnitude < 0x38800000u) {
    // Below 2^-14: adding 0.5 puts the last bit of a subnormal half at the last bit of the float, rounded to even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | (rounded - 0x38000000u) >> 13);
}

namespace internal::reference {

void Fp16ToFloat(const uint16_t* source, int64_t size, float* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = kernels::Fp16ToFloat(source[i]);
}

void FloatToFp16(const float* source, int64_t size, uint16_t* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = kernels::FloatToFp16(source[i]);
}

}  // namespace internal::reference
}  // namespace uaqf::kernels
