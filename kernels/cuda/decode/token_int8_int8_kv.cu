#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int8Int8KvToken(int kv_bits) { return MakeKvLauncher<Int8BlocksInt8Vector>(kv_bits); }

}  // namespace uaqf::cuda
