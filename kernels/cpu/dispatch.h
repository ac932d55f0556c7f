#pragma once

#include "kernels/cpu/isa_functions.h"
#include "kernels/isa.h"

namespace uaqf::kernels::internal {

// The implementation for `isa` of three of one signature.
template <typename Function>
Function* Pick(Isa isa, Function* reference, Function* avx2, Function* avx512) {
  return isa == Isa::kAvx512 ? avx512 : isa == Isa::kAvx2 ? avx2 : reference;
}

}  // namespace uaqf::kernels::internal

// The function `name` for `isa`.
#define UAQF_KERNELS_PICK(isa, name)                                                \
  ::uaqf::kernels::internal::Pick(isa, &::uaqf::kernels::internal::reference::name, \
                                  &::uaqf::kernels::internal::avx2::name, &::uaqf::kernels::internal::avx512::name)
