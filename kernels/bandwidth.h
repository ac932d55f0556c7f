#pragma once

#include <cstdint>

#include "kernels/isa.h"
#include "kernels/thread_pool.h"

namespace uaqf::kernels {

// Gigabytes (1e9) per second at which the lanes together read a buffer of `bytes`, each its own contiguous part: the
// best of `passes` >= 1, after one that is not counted. Allocates and frees the buffer.
[[nodiscard]] double MeasureReadGbps(int64_t bytes, int passes, ThreadPool& pool, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
