#include "kernels/cuda/batch/product.cuh"

namespace uaqf::cuda::batch {

Status MultiplyInt8Weights(const ProductParams& p, cudaStream_t stream) {
  return p.scales != nullptr ? LaunchFor<Format::kInt8, 0, true>(p, stream)
                             : LaunchFor<Format::kInt8, 0, false>(p, stream);
}

}  // namespace uaqf::cuda::batch
