#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int4G128KvToken(int kv_bits) { return MakeKvLauncher<Int4Blocks<128>>(kv_bits); }

}  // namespace uaqf::cuda
