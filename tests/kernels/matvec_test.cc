#include "kernels/matvec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/fp16.h"
#include "kernels/thread_pool.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

using ::testing::Each;
using ::testing::ElementsAreArray;

// One row, odd and small shapes, columns that fill no line, vector or group, and those of real models.
const std::vector<std::pair<int64_t, int64_t>> kShapes = {{1, 1},   {1, 7},    {3, 8},    {16, 16},  {17, 33},
                                                          {5, 100}, {33, 172}, {64, 288}, {49, 576}, {31, 1537}};

std::vector<float> Multiply(const TestMatrix& matrix, const std::vector<float>& x, Activations activations, Isa isa,
                            int lanes = 2) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(lanes);
  const PackedMatrix packed = matrix.Pack();
  std::vector<float> y(matrix.rows, NAN);
  const Product product = {&packed, y.data()};
  MatVec({&product, 1}, x.data(), activations, *pool, isa);
  return y;
}

struct Quantized {
  std::vector<int> codes;
  float scale;
};

// The definition of matvec.h, in its words.
Quantized QuantizePerToken(const std::vector<float>& x) {
  float absmax = 0;
  for (float value : x) absmax = std::max(absmax, std::fabs(value));
  Quantized result = {{}, std::max(absmax, 1e-5f) / 127.0f};
  for (float value : x) {
    result.codes.push_back(std::min(127, std::max(-127, static_cast<int>(std::nearbyint(value / result.scale)))));
  }
  return result;
}

class MatVecTest : public ::testing::TestWithParam<Isa> {};

// Sums of n products in FP32 are off by a few units in the last place of the sum of magnitudes.
TEST_P(MatVecTest, AgreesWithFloat64OnEveryKindAndShape) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    for (const auto& [rows, cols] : kShapes) {
      const TestMatrix matrix = RandomMatrix(kind, rows, cols, rows * 7 + cols);
      const std::vector<float> x = RandomVector(cols, 11);
      const std::vector<float> y = Multiply(matrix, x, Activations::kFloat, GetParam());
      for (int64_t row = 0; row < rows; ++row) {
        double expected = 0;
        double magnitude = 0;
        for (int64_t col = 0; col < cols; ++col) {
          expected += matrix.Weight(row, col) * x[col];
          magnitude += matrix.Magnitude(row, col) * std::fabs(x[col]);
        }
        ASSERT_NEAR(y[row], expected, 2e-6 * magnitude + 1e-12) << kind.name << " " << rows << "x" << cols;
      }
    }
  }
}

TEST_P(MatVecTest, EightBitActivationsAreExactUpToTheFinalScales) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.format == WeightFormat::kFp16 || kind.granularity == ScaleGranularity::kPerGroup) continue;
    for (const auto& [rows, cols] : kShapes) {
      const TestMatrix matrix = RandomMatrix(kind, rows, cols, rows * 5 + cols);
      const std::vector<float> x = RandomVector(cols, 12, 3.0f);
      const Quantized quantized = QuantizePerToken(x);
      const std::vector<float> y = Multiply(matrix, x, Activations::kInt8, GetParam());
      for (int64_t row = 0; row < rows; ++row) {
        int64_t sum = 0;
        for (int64_t col = 0; col < cols; ++col) sum += matrix.Code(row, col) * quantized.codes[col];
        const float scaled = static_cast<float>(sum) * static_cast<float>(matrix.Scale(row, 0));
        ASSERT_EQ(y[row], scaled * quantized.scale) << kind.name << " " << rows << "x" << cols << " row " << row;
      }
    }
  }
}

TEST_P(MatVecTest, EightBitActivationsWithGroupsAddExactGroupSums) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.granularity != ScaleGranularity::kPerGroup) continue;
    for (const auto& [rows, cols] : kShapes) {
      const TestMatrix matrix = RandomMatrix(kind, rows, cols, rows * 3 + cols);
      const std::vector<float> x = RandomVector(cols, 13);
      const Quantized quantized = QuantizePerToken(x);
      const std::vector<float> y = Multiply(matrix, x, Activations::kInt8, GetParam());
      for (int64_t row = 0; row < rows; ++row) {
        double expected = 0;
        double magnitude = 0;
        for (int64_t col = 0; col < cols; ++col) {
          const double activation = quantized.codes[col] * static_cast<double>(quantized.scale);
          expected += matrix.Weight(row, col) * activation;
          magnitude += matrix.Magnitude(row, col) * std::fabs(activation);
        }
        ASSERT_NEAR(y[row], expected, 1e-6 * magnitude + 1e-12) << kind.name << " " << rows << "x" << cols;
      }
    }
  }
}

// Every sum is then a multiple of 1/2 below 2^23, exact in FP32 whatever the order: no bit may differ.
TEST_P(MatVecTest, IntegersWithPowerOfTwoScalesAreBitExact) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.format == WeightFormat::kFp16) continue;
    TestMatrix matrix = PowerOfTwoMatrix(kind, 37, 200, 21);
    Random random(22);
    std::vector<float> x(200);
    for (float& value : x) value = static_cast<float>(random.Integer(-100, 100));
    const std::vector<float> y = Multiply(matrix, x, Activations::kFloat, GetParam());
    for (int64_t row = 0; row < matrix.rows; ++row) {
      double expected = 0;  // exact
      for (int64_t col = 0; col < 200; ++col) expected += matrix.Weight(row, col) * x[col];
      ASSERT_EQ(y[row], static_cast<float>(expected)) << kind.name << " row " << row;
    }
  }
}

TEST_P(MatVecTest, OneHotVectorsReadBackColumns) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    const TestMatrix matrix = RandomMatrix(kind, 19, 83, 31);
    for (int64_t hot : {0, 1, 7, 8, 40, 63, 64, 82}) {
      std::vector<float> x(83, 0.0f);
      x[hot] = 1.0f;
      const std::vector<float> y = Multiply(matrix, x, Activations::kFloat, GetParam());
      for (int64_t row = 0; row < 19; ++row) {
        // Only an offset, which the zero's part joins first, may round once more.
        const double tolerance = kind.offsets ? 1.2e-7 * matrix.Magnitude(row, hot) : 0;
        ASSERT_NEAR(y[row], static_cast<float>(matrix.Weight(row, hot)), tolerance) << kind.name << " column " << hot;
      }
    }
  }
}

// -128 has no positive counterpart in 8 bits, and 16-bit sums of such products would saturate.
TEST_P(MatVecTest, ExtremeCodesDoNotSaturate) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.format == WeightFormat::kFp16) continue;
    for (const bool negative : {true, false}) {
      TestMatrix matrix = PowerOfTwoMatrix(kind, 18, 256, 41);
      const int extreme = kind.format == WeightFormat::kInt8 ? (negative ? -128 : 127) : (negative ? -8 : 7);
      for (int8_t& code : matrix.codes) code = static_cast<int8_t>(extreme);
      for (const float sign : {-1.0f, 1.0f}) {
        const std::vector<float> x(256, sign * 127.0f);
        for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
          const std::vector<float> y = Multiply(matrix, x, activations, GetParam());
          for (int64_t row = 0; row < 18; ++row) {
            double expected = 0;
            for (int64_t col = 0; col < 256; ++col) expected += matrix.Weight(row, col) * x[col];
            ASSERT_EQ(y[row], static_cast<float>(expected)) << kind.name;
          }
        }
      }
    }
  }
}

TEST_P(MatVecTest, ZeroGroupsAndRowsGiveZero) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    TestMatrix matrix = RandomMatrix(kind, 20, 256, 51);
    for (int64_t col = 0; col < 256; ++col) {
      if (kind.format == WeightFormat::kFp16) {
        matrix.bits[3 * 256 + col] = 0;
      } else {
        matrix.codes[3 * 256 + col] = 0;
      }
    }
    for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
      if (!kind.affine()) {
        EXPECT_EQ(Multiply(matrix, RandomVector(256, 52), activations, GetParam())[3], 0.0f) << kind.name;
      }
      const std::vector<float> zero(256, 0.0f);
      EXPECT_THAT(Multiply(matrix, zero, activations, GetParam()), Each(0.0f)) << kind.name;
    }
  }
}

// Every code on its group's zero: an all-zero group of an asymmetric file.
TEST_P(MatVecTest, CodesOnTheirZeroGiveZeroForIntegersAndNearlySoElse) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (!kind.zeros || kind.offsets) continue;
    TestMatrix matrix = RandomMatrix(kind, 20, 256, 53);
    const int64_t groups = (256 + kind.group_size - 1) / kind.group_size;
    for (int64_t i = 0; i < 20 * 256; ++i) {
      matrix.codes[i] = matrix.group_zeros[i / 256 * groups + i % 256 / kind.group_size];
    }
    EXPECT_THAT(Multiply(matrix, std::vector<float>(256, 3.0f), Activations::kFloat, GetParam()), Each(0.0f))
        << kind.name;
    for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
      for (const float y : Multiply(matrix, RandomVector(256, 54), activations, GetParam())) {
        EXPECT_NEAR(y, 0.0f, 2e-6 * 256 * 128 * 0.03) << kind.name;
      }
    }
  }
}

// The largest integers that the formats hold, at the ends of FP16's range.
TEST_P(MatVecTest, ExtremeFactorsZerosAndOffsetsKeepTheirPrecision) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (!kind.affine()) continue;
    TestMatrix matrix = RandomMatrix(kind, 21, 300, 55);
    Random random(56);
    for (uint16_t& scale : matrix.group_scales) scale = FloatToFp16(random.Integer(0, 1) == 0 ? 6e-8f : -65504.0f);
    for (uint16_t& offset : matrix.group_offsets) offset = FloatToFp16(random.Integer(0, 1) == 0 ? 6e-8f : 65504.0f);
    for (int8_t& factor : matrix.scale_factors) factor = static_cast<int8_t>(random.Integer(-128, 127));
    for (int8_t& factor : matrix.offset_factors) factor = static_cast<int8_t>(random.Integer(-128, 127));
    for (int8_t& zero : matrix.group_zeros) zero = static_cast<int8_t>(random.Integer(-128, 127));
    const std::vector<float> x = RandomVector(300, 57);
    const std::vector<float> y = Multiply(matrix, x, Activations::kFloat, GetParam());
    for (int64_t row = 0; row < 21; ++row) {
      double expected = 0;
      double magnitude = 0;
      for (int64_t col = 0; col < 300; ++col) {
        expected += matrix.Weight(row, col) * x[col];
        magnitude += matrix.Magnitude(row, col) * std::fabs(x[col]);
      }
      ASSERT_NEAR(y[row] / magnitude, expected / magnitude, 2e-6) << kind.name;
    }
  }
}

TEST_P(MatVecTest, HugeAndTinyScalesKeepTheirPrecision) {
  for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4}) {
    TestMatrix matrix = RandomMatrix({"row", format, ScaleGranularity::kPerRow, 0}, 4, 96, 61);
    matrix.scales = {1e-30f, 1e30f, 1e-5f / 127, 65504.0f};
    const std::vector<float> x = RandomVector(96, 62);
    const std::vector<float> y = Multiply(matrix, x, Activations::kFloat, GetParam());
    for (int64_t row = 0; row < 4; ++row) {
      double expected = 0;
      double magnitude = 0;
      for (int64_t col = 0; col < 96; ++col) {
        expected += matrix.Weight(row, col) * x[col];
        magnitude += std::fabs(matrix.Weight(row, col) * x[col]);
      }
      EXPECT_NEAR(y[row] / magnitude, expected / magnitude, 2e-6);
    }
  }
}

TEST_P(MatVecTest, FusedProductsKeepTheirOwnScalesBiasAndResidual) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  const std::vector<float> x = RandomVector(100, 71);
  for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
    std::vector<PackedMatrix> packed;
    std::vector<std::vector<float>> alone;
    const std::vector<float> bias = RandomVector(50, 72);
    for (size_t i = 0; i < AllMatrixKinds().size(); ++i) {
      const TestMatrix matrix = RandomMatrix(AllMatrixKinds()[i], 50 - static_cast<int64_t>(i), 100, 73 + i);
      packed.push_back(matrix.Pack());
      alone.push_back(Multiply(matrix, x, activations, GetParam()));
    }
    std::vector<std::vector<float>> together(packed.size());
    std::vector<Product> products;
    for (size_t i = 0; i < packed.size(); ++i) {
      together[i].assign(packed[i].rows(), 0.5f);
      products.push_back({&packed[i], together[i].data(), i % 2 == 0 ? bias.data() : nullptr, i % 3 == 0});
    }
    MatVec(products, x.data(), activations, *pool, GetParam());
    for (size_t i = 0; i < packed.size(); ++i) {
      for (int64_t row = 0; row < packed[i].rows(); ++row) {
        float expected = alone[i][row];
        if (i % 3 == 0) expected += 0.5f;
        if (i % 2 == 0) expected += bias[row];
        ASSERT_EQ(together[i][row], expected) << AllMatrixKinds()[i].name;
      }
    }
  }
}

TEST_P(MatVecTest, ResultDoesNotDependOnTheNumberOfLanesNorTheRun) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    const TestMatrix matrix = RandomMatrix(kind, 213, 300, 81);
    const std::vector<float> x = RandomVector(300, 82);
    for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
      const std::vector<float> one = Multiply(matrix, x, activations, GetParam(), 1);
      for (const int lanes : {1, 2, 3, 5}) {
        EXPECT_THAT(Multiply(matrix, x, activations, GetParam(), lanes), ElementsAreArray(one)) << kind.name;
      }
    }
  }
}

TEST_P(MatVecTest, GatedProductIsSiluOfGateTimesUp) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  const std::vector<float> x = RandomVector(96, 91);
  for (const MatrixKind& kind : AllMatrixKinds()) {
    const TestMatrix gate = RandomMatrix(kind, 150, 96, 92);
    const TestMatrix up = RandomMatrix(kind, 150, 96, 93);
    for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
      const std::vector<float> g = Multiply(gate, x, activations, GetParam());
      const std::vector<float> u = Multiply(up, x, activations, GetParam());
      std::vector<float> y(150, NAN);
      MatVecGated(gate.Pack(), up.Pack(), x.data(), y.data(), activations, *pool, GetParam());
      for (int64_t row = 0; row < 150; ++row) {
        const double expected = g[row] / (1 + std::exp(-static_cast<double>(g[row]))) * u[row];
        ASSERT_NEAR(y[row], expected, 1e-6 * std::fabs(expected) + 1e-12) << kind.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MatVecTest, ::testing::ValuesIn(UsableIsas()),
                         [](const auto& info) { return IsaTestName(info.param); });

}  // namespace
}  // namespace uaqf::kernels
