#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/token_kernel.cuh"

namespace uaqf::cuda {

TokenLauncher Int4RoundedG64Token(int kv_bits) {
  using W = Int4BlocksRounded<64>;
  return kv_bits == 4 ? MakeLauncher<WithKv<W, 4>>() : MakeLauncher<W>();
}

}  // namespace uaqf::cuda
