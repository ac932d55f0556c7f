#pragma once

#include <cuda_runtime.h>

namespace uaqf::cuda {

// Outcome of a host call. `code` is cudaSuccess, what the runtime said, or cudaErrorInvalidValue for arguments that do
// not fit; `message` then says what was got and what was expected. Plain data: copy it freely.
struct [[nodiscard]] Status {
  cudaError_t code = cudaSuccess;
  char message[224] = "";

  bool ok() const { return code == cudaSuccess; }
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
Status
MakeError(cudaError_t code, const char* format, ...);

// `what` names the call; success gives an ok status.
Status FromCuda(cudaError_t code, const char* what);

}  // namespace uaqf::cuda

#define UAQF_CUDA_RETURN(call)                                                                      \
  do {                                                                                              \
    if (const ::uaqf::cuda::Status s_ = ::uaqf::cuda::FromCuda((call), #call); !s_.ok()) return s_; \
  } while (false)

#define UAQF_CUDA_CHECK(expression)                                        \
  do {                                                                     \
    if (const ::uaqf::cuda::Status s_ = (expression); !s_.ok()) return s_; \
  } while (false)
