#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int4G128Token() { return MakeLauncher<Int4Blocks<128>>(); }

}  // namespace uaqf::cuda
