// Values of a synthetic model's tensor: a hash of seed and place, the same bits on processor and GPU.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define UAQF_RANDOM_TENSOR_FUNCTION __host__ __device__ inline
#else
#define UAQF_RANDOM_TENSOR_FUNCTION inline
#endif

namespace uaqf::model {

struct RandomTensor {
  uint64_t seed = 0;
  // Uniform in [-2^23 step, 2^23 step); where it is 0, every value is `constant`.
  float step = 0;
  float constant = 0;
};

// Value at row-major place `index`, before it is rounded to FP16. One rounding, so that no compiler can differ.
UAQF_RANDOM_TENSOR_FUNCTION float ValueAt(const RandomTensor& tensor, uint64_t index) {
  if (tensor.step == 0) return tensor.constant;
  uint64_t x = tensor.seed + (index + 1) * 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  x ^= x >> 31;
  const int32_t centred = static_cast<int32_t>(x >> 40) - (1 << 23);
  return tensor.step * static_cast<float>(centred);
}

}  // namespace uaqf::model
