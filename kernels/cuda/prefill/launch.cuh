// Kernels of a prefill follow each other closely: the next one is brought to the multiprocessors while the last one
// ends (programmatic dependent launch on sm_90; on older devices an ordinary launch).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace uaqf::cuda::prefill {

// Devices whose properties are kept once asked for.
constexpr int kMostDevices = 64;

// In every kernel that LaunchAfter() starts, before it touches what another kernel of a prefill reads or writes
// (weights may be read earlier): all before it on the stream has ended and can be seen. Every thread must call it,
// since the kernel after this one relies on it.
__device__ __forceinline__ void WaitForPrevious() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents; griddepcontrol.wait;" ::: "memory");
#endif
}

// kernel<<<grid, threads, shared, stream>>>(arguments...), for a kernel that calls WaitForPrevious().
template <class... Parameters, class... Arguments>
cudaError_t LaunchAfter(void (*kernel)(Parameters...), dim3 grid, int threads, size_t shared, cudaStream_t stream,
                        const Arguments&... arguments) {
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace uaqf::cuda::prefill
