#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// Rotates `heads` consecutive vectors of head_dim values in place, the halves form the pairs ("rotate half", as
// Hugging Face Llama): for i < rotary_dim / 2, with h = rotary_dim / 2,
//   x'[i]     = x[i] * cos[i] - x[i + h] * sin[i]
//   x'[i + h] = x[i + h] * cos[i] + x[i] * sin[i].
// cos, sin: [rotary_dim / 2] of this token's position, with any frequency scaling applied. Values from rotary_dim on
// are left alone. rotary_dim is even and at most head_dim.
void ApplyRope(float* x, int64_t heads, int64_t head_dim, int64_t rotary_dim, const float* cos, const float* sin,
               Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
