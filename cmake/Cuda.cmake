# The CUDA half: built wherever nvcc is, and nothing else changes where it is not. UAQF_CUDA says which.

option(UAQF_BUILD_CUDA "Build the worker's CUDA module where nvcc is present" ON)
set(UAQF_CUDA OFF)

# Both sides of the module's boundary carry this; see worker/engine/cuda/module.h.
set(boundary worker/engine/cuda/module.h worker/engine/engine.h worker/model/checkpoint.h worker/model/model_config.h
    worker/model/random_tensor.h worker/model/tensor_type.h worker/quantize/variants.h)
set(digests "")
foreach(header ${boundary})
  file(SHA256 ${CMAKE_SOURCE_DIR}/${header} digest)
  string(APPEND digests ${digest})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${header})
endforeach()
string(SHA256 digests "${digests}")
string(SUBSTRING ${digests} 0 12 digests)
set(UAQF_CUDA_MODULE_BUILD "${PROJECT_VERSION}+${digests}")

if(NOT UAQF_BUILD_WORKER OR NOT UAQF_BUILD_CUDA OR UAQF_SANITIZE)
  return()
endif()
# Distributions keep nvcc off the PATH.
find_program(UAQF_NVCC nvcc HINTS ENV CUDA_HOME PATH_SUFFIXES bin PATHS /usr/local/cuda/bin)
if(NOT UAQF_NVCC OR NOT EXISTS ${torch_root}/lib/libtorch_cuda.so)
  message(STATUS "No CUDA module: ${UAQF_NVCC} ${torch_root}/lib/libtorch_cuda.so")
  return()
endif()
set(CMAKE_CUDA_COMPILER ${UAQF_NVCC})
set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real CACHE STRING "GPUs that the kernels are built for")
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  return()
endif()
enable_language(CUDA)
# CMake 3.25 knows nvcc's standards up to C++17 only.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
set(CMAKE_CUDA20_COMPILE_FEATURES cuda_std_20)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
string(APPEND CMAKE_CUDA_FLAGS " -Xcompiler=-Wall,-Wextra,-fvisibility=hidden")
find_package(CUDAToolkit REQUIRED)
set(UAQF_CUDA ON)

# libtorch's CUDA half. What it needs itself (cuDNN, NCCL, ...) is found when it is loaded.
add_library(uaqf_c10_cuda SHARED IMPORTED)
set_target_properties(uaqf_c10_cuda PROPERTIES IMPORTED_LOCATION ${torch_root}/lib/libc10_cuda.so)
add_library(uaqf_torch_cuda SHARED IMPORTED)
set_target_properties(uaqf_torch_cuda PROPERTIES
  IMPORTED_LOCATION ${torch_root}/lib/libtorch_cuda.so
  INTERFACE_LINK_LIBRARIES "uaqf_torch;uaqf_c10_cuda;CUDA::cudart")
