#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// Rounds one token's keys or values, [kv_heads, head_dim] FP32, to FP16 (half to even, overflow to infinity) and
// stores them at `position` of a cache [kv_heads][capacity][head_dim].
void WriteKv(const float* source, int64_t kv_heads, int64_t head_dim, int64_t capacity, int64_t position,
             uint16_t* cache, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
