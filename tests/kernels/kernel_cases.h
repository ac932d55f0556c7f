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

  QuantizedWeights Quantized() const;
  PackedMatrix Pack() const;

  int Code(int64_t row, int64_t col) const { return codes[row * cols + col]; }
  double Scale(int64_t row, int64_t col) const;
  double Weight(int64_t row, int64_t col) const;
};

// What a matrix is made of.
struct MatrixKind {
  std::string name;
  WeightFormat format;
  ScaleGranularity granularity;
  int64_t group_size;
};

// FP16, and each quantized format with each granularity (groups of 32, 64 and 128).
const std::vector<MatrixKind>& AllMatrixKinds();

// Random FP16 weights, or random codes over the whole range of the format with random scales.
TestMatrix RandomMatrix(const MatrixKind& kind, int64_t rows, int64_t cols, uint64_t seed);

// The matrix with scales that are powers of two, so that code times scale is exact.
TestMatrix PowerOfTwoMatrix(const MatrixKind& kind, int64_t rows, int64_t cols, uint64_t seed);

}  // namespace uaqf::kernels
