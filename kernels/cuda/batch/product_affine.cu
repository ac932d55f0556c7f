#include "kernels/cuda/batch/product.cuh"

namespace uaqf::cuda::batch {

Status MultiplyAffineWeights(const ProductParams& p, cudaStream_t stream) {
  switch (p.weights.spec.group) {
    case 32:
      return LaunchFor<Format::kInt4, 32, false, true>(p, stream);
    case 64:
      return LaunchFor<Format::kInt4, 64, false, true>(p, stream);
    default:
      return LaunchFor<Format::kInt4, 128, false, true>(p, stream);
  }
}

}  // namespace uaqf::cuda::batch
