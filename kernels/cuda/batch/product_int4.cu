#include "kernels/cuda/batch/product.cuh"

namespace uaqf::cuda::batch {

Status MultiplyInt4Weights(const ProductParams& p, cudaStream_t stream) {
  if (p.scales != nullptr) return LaunchFor<Format::kInt4, 0, true>(p, stream);
  switch (p.weights.spec.group) {
    case 0:
      return LaunchFor<Format::kInt4, 0, false>(p, stream);
    case 32:
      return LaunchFor<Format::kInt4, 32, false>(p, stream);
    case 64:
      return LaunchFor<Format::kInt4, 64, false>(p, stream);
    default:
      return LaunchFor<Format::kInt4, 128, false>(p, stream);
  }
}

}  // namespace uaqf::cuda::batch
