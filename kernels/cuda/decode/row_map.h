// Tensor maps: how the copy engine of sm_90 finds a box of FP16 rows. Internal to kernels/cuda.
#pragma once

#include "kernels/cuda/device_matrix.h"

namespace uaqf::cuda {

// A CUtensorMap, as the device reads it.
struct alignas(64) RowMap {
  unsigned char bytes[128];
};

// Describes an FP16 matrix as [step of kRowStepCols columns][row][column]: a box is kRowSteps steps of 8 rows, 128-byte
// lines swizzled. Rows past the end are read as zeros. Fails where the driver has no tensor maps.
Status MakeRowMap(const MatrixView& matrix, RowMap* out);

}  // namespace uaqf::cuda
