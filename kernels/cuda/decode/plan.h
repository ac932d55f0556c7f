// How a model's shapes become a launch of the token kernel. Internal to kernels/cuda.
#pragma once

#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/decode_graph.h"

namespace uaqf::cuda {

// Fills everything of `params` that the shapes decide, the pointers of model tables included, and the bytes of shared
// memory of a block. `multiprocessors` blocks run; `available` is what a block can have. Fails, with the figures, where
// a shape leaves no room for a ring.
Status PlanToken(const DecodeModel& model, const TokenLauncher& kernel, int multiprocessors, int available,
                 TokenParams* params, int* shared_bytes);

}  // namespace uaqf::cuda
