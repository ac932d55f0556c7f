#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// Index of the largest of `size` >= 1 values, the lowest such index at a tie. NaN never wins; all NaN: 0.
[[nodiscard]] int64_t ArgMax(const float* values, int64_t size, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
