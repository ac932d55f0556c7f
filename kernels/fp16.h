#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// FP16 bits to FP32, exact; NaN payloads are kept.
[[nodiscard]] float Fp16ToFloat(uint16_t bits);

// FP32 to FP16 bits, half to even; too large becomes infinity.
[[nodiscard]] uint16_t FloatToFp16(float value);

void Fp16ToFloat(const uint16_t* source, int64_t size, float* out, Isa isa = ActiveIsa());
void FloatToFp16(const float* source, int64_t size, uint16_t* out, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
