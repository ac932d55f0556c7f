#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int8Int8Token() { return MakeLauncher<Int8BlocksInt8Vector>(); }

}  // namespace uaqf::cuda
