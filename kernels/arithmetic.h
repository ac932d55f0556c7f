#pragma once

#include "kernels/isa.h"
#include "kernels/thread_pool.h"

namespace uaqf::kernels {

// Operations (1e9, a multiply-add is two) per second that the lanes together do on FP32 values in registers: the best
// of `passes` >= 1 of some 10 ms each, after one that is not counted. What no product of matrices exceeds.
[[nodiscard]] double MeasureGflops(int passes, ThreadPool& pool, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
