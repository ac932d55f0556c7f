#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace uaqf::kernels {

// -log softmax(logits)[target] in nats: log(sum_i exp(logits[i] - max)) + max - logits[target]; the sum is FP64.
// 0 <= target < size.
[[nodiscard]] double NegativeLogLikelihood(const float* logits, int64_t size, int64_t target, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
