#include "tests/kernels/kernel_cases.h"

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/fp16.h"

namespace uaqf::kernels {
namespace {

PackedMatrix OrDie(absl::StatusOr<PackedMatrix> matrix) {
  if (!matrix.ok()) {
    std::cerr << "cannot pack the test's matrix: " << matrix.status().ToString() << "\n";
    std::abort();
  }
  return *std::move(matrix);
}

void FillScales(const MatrixKind& kind, TestMatrix* matrix, float (*draw)(Random&), uint64_t seed) {
  Random random(seed);
  if (kind.granularity == ScaleGranularity::kPerGroup) {
    matrix->group_size = kind.group_size;
    const int64_t groups = (matrix->cols + kind.group_size - 1) / kind.group_size;
    for (int64_t i = 0; i < matrix->rows * groups; ++i) matrix->group_scales.push_back(FloatToFp16(draw(random)));
  } else {
    const int64_t count = kind.granularity == ScaleGranularity::kPerRow ? matrix->rows : 1;
    for (int64_t i = 0; i < count; ++i) matrix->scales.push_back(draw(random));
  }
}

TestMatrix MatrixWithScales(const MatrixKind& kind, int64_t rows, int64_t cols, uint64_t seed, float (*draw)(Random&)) {
  TestMatrix matrix;
  matrix.format = kind.format;
  matrix.granularity = kind.granularity;
  matrix.rows = rows;
  matrix.cols = cols;
  Random random(seed);
  if (kind.format == WeightFormat::kFp16) {
    for (int64_t i = 0; i < rows * cols; ++i) matrix.bits.push_back(FloatToFp16(random.Uniform()));
    return matrix;
  }
  const int lowest = kind.format == WeightFormat::kInt8 ? -128 : -8;
  for (int64_t i = 0; i < rows * cols; ++i) {
    matrix.codes.push_back(static_cast<int8_t>(random.Integer(lowest, -lowest - 1)));
  }
  FillScales(kind, &matrix, draw, seed + 1);
  return matrix;
}

}  // namespace

std::vector<Isa> UsableIsas() {
  std::vector<Isa> usable;
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= DetectIsa()) usable.push_back(isa);
  }
  return usable;
}

std::string IsaTestName(Isa isa) { return std::string(IsaName(isa)); }

uint32_t Random::Next() {
  state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<uint32_t>(state_ >> 32);
}

float Random::Uniform() { return static_cast<float>(static_cast<int32_t>(Next() >> 8) - (1 << 23)) * 0x1p-23f; }

int Random::Integer(int low, int high) {
  return low + static_cast<int>(Next() % static_cast<uint32_t>(high - low + 1));
}

std::vector<float> RandomVector(int64_t size, uint64_t seed, float magnitude) {
  Random random(seed);
  std::vector<float> values(size);
  for (float& value : values) value = random.Uniform() * magnitude;
  return values;
}

QuantizedWeights TestMatrix::Quantized() const {
  QuantizedWeights weights;
  weights.format = format;
  weights.granularity = granularity;
  weights.rows = rows;
  weights.cols = cols;
  weights.group_size = group_size;
  weights.codes = codes;
  weights.scales = scales;
  weights.group_scales = group_scales;
  return weights;
}

PackedMatrix TestMatrix::Pack() const {
  if (format == WeightFormat::kFp16) return OrDie(PackedMatrix::FromFp16(rows, cols, bits));
  return OrDie(PackedMatrix::FromQuantized(Quantized()));
}

double TestMatrix::Scale(int64_t row, int64_t col) const {
  if (granularity == ScaleGranularity::kPerGroup) {
    const int64_t groups = (cols + group_size - 1) / group_size;
    return Fp16ToFloat(group_scales[row * groups + col / group_size]);
  }
  return scales[granularity == ScaleGranularity::kPerRow ? row : 0];
}

double TestMatrix::Weight(int64_t row, int64_t col) const {
  if (format == WeightFormat::kFp16) return Fp16ToFloat(bits[row * cols + col]);
  return Code(row, col) * Scale(row, col);
}

const std::vector<MatrixKind>& AllMatrixKinds() {
  static const std::vector<MatrixKind>* kinds = [] {
    auto* all = new std::vector<MatrixKind>{{"fp16", WeightFormat::kFp16, ScaleGranularity::kPerTensor, 0}};
    for (const auto& [name, format] :
         {std::pair{"int8", WeightFormat::kInt8}, std::pair{"int4", WeightFormat::kInt4}}) {
      const std::string prefix(name);
      all->push_back({prefix + "_tensor", format, ScaleGranularity::kPerTensor, 0});
      all->push_back({prefix + "_row", format, ScaleGranularity::kPerRow, 0});
      for (int64_t group : {32, 64, 128}) {
        all->push_back({prefix + "_group" + std::to_string(group), format, ScaleGranularity::kPerGroup, group});
      }
    }
    return all;
  }();
  return *kinds;
}

TestMatrix RandomMatrix(const MatrixKind& kind, int64_t rows, int64_t cols, uint64_t seed) {
  return MatrixWithScales(kind, rows, cols, seed, [](Random& random) { return 0.02f + 0.01f * random.Uniform(); });
}

TestMatrix PowerOfTwoMatrix(const MatrixKind& kind, int64_t rows, int64_t cols, uint64_t seed) {
  return MatrixWithScales(kind, rows, cols, seed,
                          [](Random& random) { return std::ldexp(1.0f, random.Integer(-1, 1)); });
}

}  // namespace uaqf::kernels
