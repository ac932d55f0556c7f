#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int4Int8Token() { return MakeLauncher<Int4BlocksInt8Vector>(); }

}  // namespace uaqf::cuda
