#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Fp16Token() { return MakeLauncher<Fp16Steps>(); }

}  // namespace uaqf::cuda
