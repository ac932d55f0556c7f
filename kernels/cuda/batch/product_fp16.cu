#include "kernels/cuda/batch/product.cuh"

namespace uaqf::cuda::batch {

Status MultiplyFp16Weights(const ProductParams& p, cudaStream_t stream) {
  return LaunchFor<Format::kFp16, 0, false>(p, stream);
}

}  // namespace uaqf::cuda::batch
