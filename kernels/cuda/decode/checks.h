#pragma once

#include "kernels/cuda/decode_graph.h"

namespace uaqf::cuda {

// cudaErrorInvalidValue, with what was got and expected, unless the token kernels can run the model: shapes within
// their limits, everything there, matrices of one form.
Status CheckModel(const DecodeModel& model);

}  // namespace uaqf::cuda
