#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/isa.h"
#include "kernels/packed_matrix.h"

namespace uaqf::kernels {

// Instruction sets that this processor can run.
std::vector<Isa> UsableIsas();

// For test names: "avx512".
std::string IsaTestName(Isa isa);

// Numbers in (-1, 1), the same for a seed on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t Next();
  float Uniform();
  int Integer(int low, int high);  // both inclusive

 private:
  uint64_t state_;
};

std::vector<float> RandomVector(int64_t size, uint64_t seed, float magnitude = 1.0f);

// A weight matrix in canonical form, from which a test computes its own result in FP64.
struct TestMatrix {
  WeightFormat format = WeightFormat::kFp16;
  ScaleGranularity granularity = ScaleGranularity::kPerRow;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group_size = 0;
  std::vector<uint16_t> bits;  // FP16
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<uint16_t> group_scales;
  std::vector<int8_t> group_zeros;
  int8_t zero = 0;
  std::vector<uint16_t> group_offsets;
  int64_t block_groups = 0;
  std::vector<int8_t> scale_factors;
  std::vector<int8_t> offset_factors;
  std::vector<int32_t> gather;
  std::vector<int64_t> stored;  // the inverse of gather

  QuantizedWeights Quantized() const;
  PackedMatrix Pack() const;

  // All of these take a column of x.
  int Code(int64_t row, int64_t col) const { return codes[row * cols + Stored(col)]; }
  double Scale(int64_t row, int64_t col) const;
  int Zero(int64_t row, int64_t col) const;
  double Offset(int64_t row, int64_t col) const;
  double Weight(int64_t row, int64_t col) const;
  // What its terms weigh one by one: errors are small beside this, not beside their sum.
  double Magnitude(int64_t row, int64_t col) const;
  // The weight with each product and sum rounded to FP32.
  float Rounded(int64_t row, int64_t col) const;

 private:
  int64_t Groups() const { return (cols + group_size - 1) / group_size; }
  // Where the values of a group, and of its block, stand in the vectors.
  int64_t Group(int64_t row, int64_t col) const { return row * Groups() + Stored(col) / group_size; }
  int64_t Block(int64_t row, int64_t col) const;
  int64_t Stored(int64_t col) const { return stored.empty() ? col : stored[col]; }
};

// What a matrix is made of.
struct MatrixKind {
  std::string name;
  WeightFormat format;
  ScaleGranularity granularity;
  int64_t group_size;
  bool zeros = false;
  bool offsets = false;
  int64_t block_groups = 0;
  bool gathered = false;

  bool affine() const { return zeros || offsets || block_groups > 0; }
};

// FP16, each quantized format with each granularity (groups of 32, 64 and 128), and the forms of checkpoints: with
// zeros, offsets, two levels of scales, and columns in another order.
const std::vector<MatrixKind>& AllMatrixKinds();

// Random FP16 weights, or random codes over the whole range of the format with random scales.
TestMatrix RandomMatrix(const MatrixKind& kind, int64_t rows, int64_t cols, uint64_t seed);

// The matrix with scales that are powers of two, so that code times scale is exact.
TestMatrix PowerOfTwoMatrix(const MatrixKind& kind, int64_t rows, int64_t cols, uint64_t seed);

}  // namespace uaqf::kernels
