#pragma once

#include <cstdint>

#include "kernels/cpu/packed_layout.h"

// Included by the files compiled for one instruction set, so without inline functions and library headers.
namespace uaqf::kernels::internal {
namespace reference {
#include "kernels/cpu/isa_functions.inc"
}  // namespace reference
namespace avx2 {
#include "kernels/cpu/isa_functions.inc"
}  // namespace avx2
namespace avx512 {
#include "kernels/cpu/isa_functions.inc"
}  // namespace avx512

}  // namespace uaqf::kernels::internal
