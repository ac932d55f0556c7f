#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int8Token() { return MakeLauncher<Int8Blocks>(); }

}  // namespace uaqf::cuda
