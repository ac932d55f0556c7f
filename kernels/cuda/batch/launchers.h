// The products of batch.h by the format of their weights; each is compiled on its own.
#pragma once

#include "kernels/cuda/batch/product_params.h"

namespace uaqf::cuda::batch {

// The caller has checked the arguments.
Status MultiplyFp16Weights(const ProductParams& p, cudaStream_t stream);
Status MultiplyInt8Weights(const ProductParams& p, cudaStream_t stream);
Status MultiplyInt4Weights(const ProductParams& p, cudaStream_t stream);
Status MultiplyAffineWeights(const ProductParams& p, cudaStream_t stream);

}  // namespace uaqf::cuda::batch
