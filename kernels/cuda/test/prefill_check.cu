#include "kernels/cuda/test/check.h"

namespace uaqf::cuda {

void CheckPrefill() {}

}  // namespace uaqf::cuda
