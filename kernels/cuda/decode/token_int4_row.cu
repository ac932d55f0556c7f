#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int4RowToken() { return MakeLauncher<Int4Blocks<0>>(); }

}  // namespace uaqf::cuda
