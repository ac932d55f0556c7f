#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i], i < size. out may be x. Sums in FP32 lanes of fixed order.
void RmsNorm(const float* x, const float* weight, int64_t size, float epsilon, float* out, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
