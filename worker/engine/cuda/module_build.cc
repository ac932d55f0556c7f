#include "worker/engine/cuda/module.h"

namespace uaqf::engine {

const char* CudaModuleBuild() { return UAQF_CUDA_MODULE_BUILD; }

}  // namespace uaqf::engine
