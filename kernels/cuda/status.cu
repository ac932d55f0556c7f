#include <cstdarg>
#include <cstdio>

#include "kernels/cuda/status.h"

namespace uaqf::cuda {

Status MakeError(cudaError_t code, const char* format, ...) {
  Status status;
  status.code = code;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(status.message, sizeof status.message, format, arguments);
  va_end(arguments);
  return status;
}

Status FromCuda(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return {};
  return MakeError(code, "%.120s: %s", what, cudaGetErrorString(code));
}

}  // namespace uaqf::cuda
