#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]. out may be gate or up.
void SiluMul(const float* gate, const float* up, int64_t size, float* out, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
