#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Fp16KvToken(int kv_bits) { return MakeKvLauncher<Fp16Steps>(kv_bits); }

}  // namespace uaqf::cuda
