#include "kernels/matmul.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "kernels/thread_pool.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

using ::testing::ElementsAreArray;

std::vector<float> Multiply(const PackedMatrix& packed, const std::vector<float>& x, int64_t tokens,
                            Activations activations, Isa isa, int lanes = 2) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(lanes);
  std::vector<float> y(tokens * packed.rows(), NAN);
  const Product product = {&packed, y.data()};
  MatMul({&product, 1}, x.data(), tokens, activations, *pool, isa);
  return y;
}

class MatMulTest : public ::testing::TestWithParam<Isa> {};

TEST_P(MatMulTest, AgreesWithFloat64OnEveryKindShapeAndTokenCount) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    for (const auto& [rows, cols] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 9}, {33, 172}, {48, 136}, {19, 2200}}) {
      const TestMatrix matrix = RandomMatrix(kind, rows, cols, rows + cols);
      const PackedMatrix packed = matrix.Pack();
      for (const int64_t tokens : {1, 2, 5, 12, 13, 25}) {
        if (cols > 2000 && tokens != 13) continue;
        const std::vector<float> x = RandomVector(tokens * cols, 3);
        const std::vector<float> y = Multiply(packed, x, tokens, Activations::kFloat, GetParam());
        for (int64_t i = 0; i < tokens * rows; ++i) {
          const int64_t token = i / rows;
          double expected = 0;
          double magnitude = 0;
          for (int64_t col = 0; col < cols; ++col) {
            expected += matrix.Weight(i % rows, col) * x[token * cols + col];
            magnitude += matrix.Magnitude(i % rows, col) * std::fabs(x[token * cols + col]);
          }
          ASSERT_NEAR(y[i], expected, 2e-6 * magnitude + 1e-12)
              << kind.name << " " << rows << "x" << cols << " token " << token << " of " << tokens;
        }
      }
    }
  }
}

// Whole-row scales leave integer sums, which prefill and decoding must get alike; with groups the FP32 sums run in the
// same order too.
TEST_P(MatMulTest, EightBitActivationsGiveTheBitsOfMatVec) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.format == WeightFormat::kFp16) continue;
    const PackedMatrix packed = RandomMatrix(kind, 45, 172, 5).Pack();
    for (const int64_t tokens : {2, 7, 24, 29}) {
      const std::vector<float> x = RandomVector(tokens * 172, 6);
      const std::vector<float> y = Multiply(packed, x, tokens, Activations::kInt8, GetParam());
      std::vector<float> expected(tokens * 45);
      for (int64_t token = 0; token < tokens; ++token) {
        const Product product = {&packed, expected.data() + token * 45};
        MatVec({&product, 1}, x.data() + token * 172, Activations::kInt8, *pool, GetParam());
      }
      ASSERT_THAT(y, ElementsAreArray(expected)) << kind.name << " " << tokens << " tokens";
    }
  }
}

TEST_P(MatMulTest, ATokenDoesNotDependOnItsNeighboursNorOnLanes) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    const PackedMatrix packed = RandomMatrix(kind, 70, 96, 7).Pack();
    const std::vector<float> x = RandomVector(26 * 96, 8);
    for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
      const std::vector<float> all = Multiply(packed, x, 26, activations, GetParam(), 1);
      EXPECT_THAT(Multiply(packed, x, 26, activations, GetParam(), 3), ElementsAreArray(all)) << kind.name;
      const std::vector<float> few = Multiply(packed, x, 3, activations, GetParam(), 2);
      EXPECT_THAT(few, ElementsAreArray(all.begin(), all.begin() + 3 * 70)) << kind.name;
    }
  }
}

TEST_P(MatMulTest, FusedProductsKeepTheirOwnScalesBiasAndResidual) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  const int64_t tokens = 14;
  // Longer than one scratch of decoded columns, so that sums continue from what is stored.
  const int64_t cols = 2100;
  const std::vector<float> x = RandomVector(tokens * cols, 9);
  const std::vector<float> bias = RandomVector(40, 10);
  for (const Activations activations : {Activations::kFloat, Activations::kInt8}) {
    for (const MatrixKind& kind : AllMatrixKinds()) {
      const PackedMatrix first = RandomMatrix(kind, 40, cols, 11).Pack();
      const PackedMatrix second = RandomMatrix(kind, 23, cols, 12).Pack();
      const std::vector<float> plain_first = Multiply(first, x, tokens, activations, GetParam());
      const std::vector<float> plain_second = Multiply(second, x, tokens, activations, GetParam());
      std::vector<float> y_first(tokens * 40, 0.25f);
      std::vector<float> y_second(tokens * 23, 0.25f);
      const Product products[] = {{&first, y_first.data(), bias.data()}, {&second, y_second.data(), nullptr, true}};
      MatMul(products, x.data(), tokens, activations, *pool, GetParam());
      for (int64_t i = 0; i < tokens * 40; ++i) ASSERT_EQ(y_first[i], plain_first[i] + bias[i % 40]) << kind.name;
      for (int64_t i = 0; i < tokens * 23; ++i) ASSERT_NEAR(y_second[i], 0.25f + plain_second[i], 1e-5) << kind.name;
    }
  }
}

// One scale for all tokens is that of the largest of them, and the same as giving it.
TEST_P(MatMulTest, TokensShareTheScaleOfTheLargestWhereAsked) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.format == WeightFormat::kFp16) continue;
    const PackedMatrix packed = RandomMatrix(kind, 21, 72, 8).Pack();
    std::vector<float> x = RandomVector(13 * 72, 9);
    x[5 * 72 + 3] = -40.0f;
    const std::vector<float> shared = Multiply(packed, x, 13, Activations::kInt8Tensor, GetParam());
    const std::vector<float> given = Multiply(packed, x, 13, Activations::Int8Fixed(40.0f / 127.0f), GetParam());
    EXPECT_THAT(shared, ElementsAreArray(given)) << kind.name;
    EXPECT_NE(shared, Multiply(packed, x, 13, Activations::kInt8, GetParam())) << kind.name;
    // The largest token alone has that scale by itself.
    const std::vector<float> largest(x.begin() + 5 * 72, x.begin() + 6 * 72);
    const std::vector<float> alone = Multiply(packed, largest, 1, Activations::kInt8, GetParam());
    const std::vector<float> among(shared.begin() + 5 * 21, shared.begin() + 6 * 21);
    EXPECT_THAT(among, ElementsAreArray(alone)) << kind.name;
  }
}

// What lies beyond a fixed scale is cut off, however far.
TEST_P(MatMulTest, AFixedScaleCutsOffWhatLiesBeyond) {
  const std::vector<float> beyond(2 * 72, 1e30f);
  const std::vector<float> at_end(2 * 72, 127.0f);
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.format == WeightFormat::kFp16) continue;
    const PackedMatrix packed = RandomMatrix(kind, 5, 72, 8).Pack();
    EXPECT_THAT(Multiply(packed, beyond, 2, Activations::Int8Fixed(1.0f), GetParam()),
                ElementsAreArray(Multiply(packed, at_end, 2, Activations::Int8Fixed(1.0f), GetParam())))
        << kind.name;
  }
}

TEST_P(MatMulTest, NoTokensIsNoWork) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  const PackedMatrix packed = RandomMatrix(AllMatrixKinds()[0], 4, 8, 1).Pack();
  float untouched = 3;
  const Product product = {&packed, &untouched};
  MatMul({&product, 1}, nullptr, 0, Activations::kFloat, *pool, GetParam());
  EXPECT_EQ(untouched, 3);
}

INSTANTIATE_TEST_SUITE_P(Isas, MatMulTest, ::testing::ValuesIn(UsableIsas()),
                         [](const auto& info) { return IsaTestName(info.param); });

}  // namespace
}  // namespace uaqf::kernels
