#pragma once

#include <cstdint>
#include <span>

#include "kernels/matvec.h"

namespace uaqf::kernels {

// Y = X W^T for each product: prefill. x is [tokens, cols] row-major, each out is [tokens, rows] row-major; all
// matrices have the same cols. Meaning of `activations`, bias and accumulate as in matvec.h. FP32 sums (kFloat) differ
// from MatVec's in the last bits only, int32 sums not at all. Bit-reproducible and independent of the number of lanes,
// and, but for kInt8Tensor, of the other tokens in the call.
void MatMul(std::span<const Product> products, const float* x, int64_t tokens, Activations activations,
            ThreadPool& pool, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
