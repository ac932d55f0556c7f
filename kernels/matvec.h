#pragma once

#include <span>

#include "kernels/isa.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"

namespace uaqf::kernels {

// How the input vectors enter a product.
struct Activations {
  // kFloat: as FP32; weights become FP32 by code * scale, sums are FP32.
  // The others: symmetric INT8, q = clamp(rint(x / s), -127, 127); sums are exact int32, y = (sum * weight scale) * s.
  // With group scales the sum over groups is FP32. They differ in what shares the scale s = max(absmax, 1e-5) / 127:
  // kToken: a token; kTensor: all tokens of the call; kFixed: everything, s is given.
  // kGroups: a group of the matrix's columns, of one token, in INT4: s = max(absmax, 1e-5) * clip / 7,
  // q = clamp(rint(x / s), -8, 7); the last `keepers` columns, in the matrix's order, are one group of INT8 as of a
  // token. For symmetric INT8 matrices with groups that divide `keepers` and the columns, by multiples of 8.
  enum class Kind { kFloat, kToken, kTensor, kFixed, kGroups };
  Kind kind = Kind::kFloat;
  float scale = 0;  // kFixed: s, above 0
  float clip = 1;   // kGroups
  int64_t keepers = 0;

  static const Activations kFloat;
  static const Activations kInt8;  // kToken
  static const Activations kInt8Tensor;
  static constexpr Activations Int8Fixed(float scale) { return {Kind::kFixed, scale}; }
};
inline constexpr Activations Activations::kFloat = {};
inline constexpr Activations Activations::kInt8 = {Kind::kToken};
inline constexpr Activations Activations::kInt8Tensor = {Kind::kTensor};

// One product of several that read the same input.
struct Product {
  const PackedMatrix* weights = nullptr;
  float* out = nullptr;         // [weights->rows()] for a vector; [tokens, rows] for MatMul; must not overlap the input
  const float* bias = nullptr;  // [rows], added last; null: none
  bool accumulate = false;      // out += W x (+ bias) instead of out = W x (+ bias): the residual stream
};

// y = W x for each product; all matrices have the same cols, x has cols values. Each matrix keeps its own scales.
// Rows are split over the lanes; the result does not depend on their number, and is the same bits on every run.
// INT8 on an FP16 matrix computes as kFloat. A matrix with a gather reads x in its own order; zeros and offsets of
// groups meet the sums of x over the groups, which are made once for a call.
void MatVec(std::span<const Product> products, const float* x, Activations activations, ThreadPool& pool,
            Isa isa = ActiveIsa());

// out[i] = silu(gate x)[i] * (up x)[i]: the first half of a Llama MLP in one pass. gate and up have the same shape.
void MatVecGated(const PackedMatrix& gate, const PackedMatrix& up, const float* x, float* out, Activations activations,
                 ThreadPool& pool, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
