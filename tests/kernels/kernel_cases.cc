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

void FillGroups(const MatrixKind& kind, TestMatrix* matrix, float (*draw)(Random&), Random& random) {
  matrix->group_size = kind.group_size;
  matrix->block_groups = kind.block_groups;
  const int64_t groups = (matrix->cols + kind.group_size - 1) / kind.group_size;
  const int64_t blocks = kind.block_groups > 0 ? (groups + kind.block_groups - 1) / kind.block_groups : groups;
  for (int64_t i = 0; i < matrix->rows * blocks; ++i) {
    matrix->group_scales.push_back(FloatToFp16(draw(random)));
    if (kind.offsets) matrix->group_offsets.push_back(FloatToFp16(-8 * draw(random)));
  }
  if (kind.offsets && kind.format == WeightFormat::kInt4) matrix->zero = -8;
  const int limit = kind.format == WeightFormat::kInt8 ? 128 : 8;
  for (int64_t i = 0; i < matrix->rows * groups; ++i) {
    if (kind.zeros) matrix->group_zeros.push_back(static_cast<int8_t>(random.Integer(-limit, limit - 1)));
    if (kind.block_groups == 0) continue;
    // Powers of two, so that PowerOfTwoMatrix stays one; tests set others.
    matrix->scale_factors.push_back(static_cast<int8_t>(1 << random.Integer(0, 2)));
    if (kind.offsets) matrix->offset_factors.push_back(static_cast<int8_t>(1 << random.Integer(0, 2)));
  }
}

void FillScales(const MatrixKind& kind, TestMatrix* matrix, float (*draw)(Random&), uint64_t seed) {
  Random random(seed);
  if (kind.granularity == ScaleGranularity::kPerGroup) {
    FillGroups(kind, matrix, draw, random);
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
  if (kind.gathered) {
    for (int64_t col = 0; col < cols; ++col) matrix.gather.push_back(static_cast<int32_t>(col));
    for (int64_t col = cols - 1; col > 0; --col) {
      std::swap(matrix.gather[col], matrix.gather[random.Integer(0, static_cast<int>(col))]);
    }
    matrix.stored.resize(cols);
    for (int64_t col = 0; col < cols; ++col) matrix.stored[matrix.gather[col]] = col;
  }
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
  weights.group_zeros = group_zeros;
  weights.zero = zero;
  weights.group_offsets = group_offsets;
  weights.block_groups = block_groups;
  weights.scale_factors = scale_factors;
  weights.offset_factors = offset_factors;
  weights.gather = gather;
  return weights;
}

PackedMatrix TestMatrix::Pack() const {
  if (format == WeightFormat::kFp16) return OrDie(PackedMatrix::FromFp16(rows, cols, bits));
  return OrDie(PackedMatrix::FromQuantized(Quantized()));
}

double TestMatrix::Scale(int64_t row, int64_t col) const {
  if (granularity == ScaleGranularity::kPerGroup) {
    const double scale = Fp16ToFloat(group_scales[Block(row, col)]);
    return scale_factors.empty() ? scale : scale * scale_factors[Group(row, col)];
  }
  return scales[granularity == ScaleGranularity::kPerRow ? row : 0];
}

double TestMatrix::Weight(int64_t row, int64_t col) const {
  if (format == WeightFormat::kFp16) return Fp16ToFloat(bits[row * cols + col]);
  return (Code(row, col) - Zero(row, col)) * Scale(row, col) + Offset(row, col);
}

double TestMatrix::Magnitude(int64_t row, int64_t col) const {
  if (format == WeightFormat::kFp16) return std::fabs(Weight(row, col));
  return (std::abs(Code(row, col)) + std::abs(Zero(row, col))) * std::fabs(Scale(row, col)) +
         std::fabs(Offset(row, col));
}

float TestMatrix::Rounded(int64_t row, int64_t col) const {
  if (format == WeightFormat::kFp16) return static_cast<float>(Weight(row, col));
  const auto product = static_cast<float>((Code(row, col) - Zero(row, col)) * Scale(row, col));
  return product + static_cast<float>(Offset(row, col));
}

int TestMatrix::Zero(int64_t row, int64_t col) const {
  return group_zeros.empty() ? zero : group_zeros[Group(row, col)];
}

double TestMatrix::Offset(int64_t row, int64_t col) const {
  if (group_offsets.empty()) return 0;
  const double offset = Fp16ToFloat(group_offsets[Block(row, col)]);
  return offset_factors.empty() ? offset : offset * offset_factors[Group(row, col)];
}

int64_t TestMatrix::Block(int64_t row, int64_t col) const {
  if (block_groups == 0) return Group(row, col);
  const int64_t blocks = (Groups() + block_groups - 1) / block_groups;
  return row * blocks + Stored(col) / group_size / block_groups;
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
    constexpr auto kGroup = ScaleGranularity::kPerGroup;
    constexpr int64_t kWholeRow = 1 << 20;
    const std::vector<MatrixKind> forms = {
        {"gptq_asym", WeightFormat::kInt4, kGroup, 128, true},
        {"gptq_channel_asym", WeightFormat::kInt4, kGroup, kWholeRow, true},
        {"gptq_act_order", WeightFormat::kInt4, kGroup, 32, true, false, 0, true},
        {"gptq_act_order_sym", WeightFormat::kInt4, kGroup, 64, false, false, 0, true},
        {"gptq_8bit_asym", WeightFormat::kInt8, kGroup, 64, true},
        {"int8_row_gathered", WeightFormat::kInt8, ScaleGranularity::kPerRow, 0, false, false, 0, true},
        {"q4_1", WeightFormat::kInt4, kGroup, 32, false, true},
        {"q4_k", WeightFormat::kInt4, kGroup, 32, false, true, 8},
        {"q6_k", WeightFormat::kInt8, kGroup, 16, false, false, 16},
        {"int8_all_forms", WeightFormat::kInt8, kGroup, 24, true, true, 4, true},
    };
    all->insert(all->end(), forms.begin(), forms.end());
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
