// What a product of batch.h is told.
#pragma once

#include "kernels/cuda/batch.h"

namespace uaqf::cuda::batch {

struct ProductParams {
  MatrixView weights;
  const uint8_t* input;
  const float* scales;  // of INT8 activations
  BatchTarget target;
  int sequences;
  int blocks;      // of columns, as a stage takes them
  int groups;      // of rows
  int peers;       // blocks of a cluster
  int parts_log2;  // of the warps that share a group
};

}  // namespace uaqf::cuda::batch
