// Products of integer weights with the activations of many tokens, on the tensor cores of sm_90: weights go from their
// packed order to registers, nothing is unpacked in memory. INT8 codes multiply INT8 activations exactly; beside FP16
// activations codes become FP16 in registers (exact; a group's zero is taken off and its scale multiplied in, rounded
// once to FP16, as UnpackRows does), with FP32 sums. Sums have a fixed order: the same input gives the same bits.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/prefill/staged.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

// Activations in the order of prefill/staged.h; borrowed device memory, 16-byte aligned.
struct StagedRows {
  const void* data = nullptr;     // StagedBytes() of it
  const float* scales = nullptr;  // [tokens] of INT8 activations; null: they are FP16
};

constexpr int64_t StagedBytes(int tokens, int width, bool int8) {
  return int64_t{PaddedTokens(tokens)} * PaddedWidth(width) * (int8 ? 1 : 2);
}

// Whether the current device multiplies this way (compute capability 9.0).
Status HasStagedProducts(bool* has);

// What products want as scratch memory on the current device.
Status ProductScratchBytes(int64_t* bytes);

// Where results go; borrowed device memory, 16-byte aligned.
struct ProductTarget {
  enum Kind {
    kRows,   // rows[t, r] = result, rounded to FP16; [tokens, rows]
    kAdd,    // residual[t, r] += result, FP32; [tokens, rows]
    kGated,  // rows[t, i] = silu(result of gate row i) * result of up row i, rounded to FP16; [tokens, rows / 2]
  };
  Kind kind = kRows;
  __half* rows = nullptr;
  float* residual = nullptr;
  const float* bias = nullptr;  // FP32 [rows], or null
};

// Results are (sum over c of weights[r, c] * in[t, c]) times the scales, plus the bias; rows in logical order. `in` is
// in the order of the columns already. The matrix is INT8 or INT4 and its rows (kGated: half of them) a multiple of 8;
// a matrix with group scales takes FP16 activations only; ProductTarget::kGated takes a matrix in that row order.
// `scratch`, of use beside INT8 activations: ProductScratchBytes() of device memory, zero before its first product, for
// products of one stream; null works as well, only slower where tiles are few. Asynchronous; may be captured.
Status MultiplyStaged(const MatrixView& weights, const StagedRows& in, int tokens, const ProductTarget& target,
                      void* scratch, cudaStream_t stream);

}  // namespace uaqf::cuda
