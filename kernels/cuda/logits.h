// What is done with logits after a prefill, or after a step of several sequences. Device memory, borrowed; calls are
// asynchronous on the stream.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/status.h"

namespace uaqf::cuda {

// The lowest id of the largest logit; a NaN never wins.
Status ArgMax(const float* logits, int vocab, int32_t* id, cudaStream_t stream);

// tokens[r] = that of row r of logits [rows, vocab], and positions[r] moves on by one.
Status ChooseTokens(const float* logits, int rows, int vocab, int32_t* tokens, int32_t* positions, cudaStream_t stream);

// nll[t] = -log softmax(logits[t])[targets[t]], logits [tokens, vocab].
Status NegativeLogLikelihoods(const float* logits, const int32_t* targets, int tokens, int vocab, double* nll,
                              cudaStream_t stream);

}  // namespace uaqf::cuda
