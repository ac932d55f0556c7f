#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int4Int8KvToken(int kv_bits) { return MakeKvLauncher<Int4BlocksInt8Vector>(kv_bits); }

}  // namespace uaqf::cuda
