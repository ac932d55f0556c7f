// Tensor maps: how the copy engine of sm_90 finds a box of FP16 values. Internal to kernels/cuda.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

// A CUtensorMap, as the device reads it.
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

// FP16 values in three dimensions, the first of them dense; a box of one copy has 128-byte lines, which arrive swizzled
// by 128 bytes, and zeros where it reaches over the end of a dimension.
struct Tensor {
  const void* data;    // on the device, 16-byte aligned
  int64_t sizes[3];    // elements
  int64_t strides[2];  // bytes from one to the next of the second and third dimension, multiples of 16
  int box[3];          // the first is 64: a line
};

// Fails where the driver has no tensor maps.
Status MakeTensorMap(const Tensor& tensor, TensorMap* out);

// An FP16 matrix as [step of kRowStepCols columns][row][column]: a box is kRowSteps steps of 8 rows.
Status MakeRowMap(const MatrixView& matrix, TensorMap* out);

}  // namespace uaqf::cuda
