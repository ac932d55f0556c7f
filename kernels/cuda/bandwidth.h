#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/status.h"

namespace uaqf::cuda {

struct ReadBandwidth {
  double gbps = 0;  // gigabytes (1e9) per second of the best grid, its best pass
  int blocks = 0;   // that grid
  int threads = 0;
  double worst_gbps = 0;  // best pass of the slowest grid: how much the grid matters
};

// What the device reads per second when it does nothing else: the limit of decode. Streams a buffer of `bytes`
// (at least 4e9, so that the cache plays no part) through several grids, `passes` >= 1 times each after one that is not
// counted. Allocates and frees the buffer; blocks until done. cudaErrorMemoryAllocation if it does not fit.
Status MeasureReadBandwidth(int64_t bytes, int passes, cudaStream_t stream, ReadBandwidth* out);

}  // namespace uaqf::cuda
