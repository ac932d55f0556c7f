#include "kernels/packed_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/fp16.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

using ::testing::HasSubstr;

std::string FailureOf(const QuantizedWeights& weights) {
  return PackedMatrix::FromQuantized(weights).status().ToString();
}

TEST(PackedMatrix, GivesBackEveryWeight) {
  for (const MatrixKind& kind : AllMatrixKinds()) {
    for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {17, 33}, {16, 128}, {40, 172}}) {
      const TestMatrix matrix = RandomMatrix(kind, rows, cols, 1);
      const PackedMatrix packed = matrix.Pack();
      ASSERT_EQ(packed.rows(), rows);
      ASSERT_EQ(packed.cols(), cols);
      std::vector<float> weights(rows * cols);
      packed.DequantizeRows(0, rows, weights.data());
      for (int64_t i = 0; i < rows * cols; ++i) {
        ASSERT_EQ(weights[i], matrix.Rounded(i / cols, i % cols)) << kind.name;
      }
    }
  }
}

TEST(PackedMatrix, DequantizesOneRowAsItsRowsTogether) {
  const TestMatrix matrix = RandomMatrix(AllMatrixKinds().back(), 20, 64, 2);
  const PackedMatrix packed = matrix.Pack();
  std::vector<float> all(20 * 64);
  packed.DequantizeRows(0, 20, all.data());
  std::vector<float> one(64);
  packed.DequantizeRow(18, one.data());
  EXPECT_THAT(one, ::testing::ElementsAreArray(all.begin() + 18 * 64, all.begin() + 19 * 64));
}

// The promise of 4-bit variants: half a byte a weight and, for groups, two bytes a group.
TEST(PackedMatrix, FourBitTakesUnderAThirdOfFp16WithItsScales) {
  const double fp16 = RandomMatrix(AllMatrixKinds()[0], 576, 576, 3).Pack().bytes();
  ASSERT_EQ(fp16, 576 * 576 * 2);
  for (const MatrixKind& kind : AllMatrixKinds()) {
    if (kind.format != WeightFormat::kInt4 || kind.affine()) continue;
    EXPECT_LT(RandomMatrix(kind, 576, 576, 3).Pack().bytes() / fp16, 0.32) << kind.name;
  }
}

// Zeros cost a byte a group, offsets two, a second level a byte and its share of the block; Q4_K's own file has 4.5
// bits.
TEST(PackedMatrix, FormsOfCheckpointsTakeLittleMoreThanTheirFiles) {
  const auto bits = [](const std::string& name) {
    for (const MatrixKind& kind : AllMatrixKinds()) {
      if (kind.name == name) return 8.0 * RandomMatrix(kind, 1024, 1024, 3).Pack().bytes() / (1024 * 1024);
    }
    return 0.0;
  };
  EXPECT_DOUBLE_EQ(bits("int4_group128"), 4 + 16.0 / 128);
  EXPECT_DOUBLE_EQ(bits("gptq_asym"), 4 + 24.0 / 128);
  EXPECT_DOUBLE_EQ(bits("q4_1"), 5.0);
  EXPECT_DOUBLE_EQ(bits("q4_k"), 4 + 16.0 / 32 + 32.0 / 256);
  EXPECT_NEAR(bits("q6_k"), 8 + 8.0 / 16 + 16.0 / 256, 0.05);
}

TEST(PackedMatrix, EightBitTakesUnderFiftyTwoPercentOfFp16) {
  const MatrixKind kind = {"row", WeightFormat::kInt8, ScaleGranularity::kPerRow, 0};
  EXPECT_LT(RandomMatrix(kind, 576, 576, 3).Pack().bytes(), 0.52 * 576 * 576 * 2);
}

TEST(PackedMatrix, MemoryIsAlignedToCacheLines) {
  std::vector<PackedMatrix> kept;
  for (int i = 0; i < 50; ++i) {
    kept.push_back(RandomMatrix(AllMatrixKinds()[i % AllMatrixKinds().size()], 1 + i, 7 + 3 * i, i).Pack());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(kept.back().data()) % 64, 0u);
  }
}

TEST(PackedMatrix, RefusesFormsThatDoNotFit) {
  const MatrixKind kind = {"g", WeightFormat::kInt4, ScaleGranularity::kPerGroup, 32, true, true, 2, true};
  const TestMatrix good = RandomMatrix(kind, 4, 128, 5);
  ASSERT_TRUE(PackedMatrix::FromQuantized(good.Quantized()).ok());

  TestMatrix bad = good;
  bad.group_zeros.pop_back();
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got 15 group zeros, expected 16"));

  bad = good;
  bad.group_offsets.pop_back();
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got 7 group offsets, expected 8"));

  bad = good;
  bad.group_offsets[1] = FloatToFp16(NAN);
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("group offset that is not finite"));

  bad = good;
  bad.block_groups = 3;
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got 3 groups to a block, expected a power of two"));

  bad = good;
  bad.scale_factors.clear();
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("blocks without scale factors"));

  bad = good;
  bad.gather[3] = bad.gather[4];
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("out of range or twice in gather"));

  bad = good;
  bad.gather[3] = 128;
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got column 128 out of range"));

  TestMatrix rows = RandomMatrix({"r", WeightFormat::kInt8, ScaleGranularity::kPerRow, 0}, 4, 64, 5);
  rows.zero = 1;
  EXPECT_THAT(FailureOf(rows.Quantized()), HasSubstr("for a matrix without groups"));
}

TEST(PackedMatrix, RefusesWhatDoesNotFit) {
  const TestMatrix good = RandomMatrix({"g", WeightFormat::kInt4, ScaleGranularity::kPerGroup, 32}, 4, 64, 5);
  ASSERT_TRUE(PackedMatrix::FromQuantized(good.Quantized()).ok());

  TestMatrix bad = good;
  bad.codes[70] = 8;
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("code 8 at row 1, column 6, expected -8 to 7"));

  bad = good;
  bad.codes.pop_back();
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got 255 values for a matrix of 4 x 64, expected 256"));

  bad = good;
  bad.group_size = 12;
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got group size 12, expected a positive multiple of 8"));

  bad = good;
  bad.group_scales.pop_back();
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got 7 group scales, expected 8"));

  bad = good;
  bad.group_scales[2] = FloatToFp16(INFINITY);
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("not finite"));

  bad = good;
  bad.rows = 0;
  EXPECT_THAT(FailureOf(bad.Quantized()), HasSubstr("got a matrix of 0 x 64"));

  TestMatrix rows = RandomMatrix({"r", WeightFormat::kInt8, ScaleGranularity::kPerRow, 0}, 4, 64, 5);
  rows.scales[1] = NAN;
  EXPECT_THAT(FailureOf(rows.Quantized()), HasSubstr("not finite"));
  rows.scales = {1.0f};
  EXPECT_THAT(FailureOf(rows.Quantized()), HasSubstr("got 1 scales, expected 4"));
  EXPECT_FALSE(PackedMatrix::FromFp16(2, 2, std::vector<uint16_t>(3)).ok());
}

}  // namespace
}  // namespace uaqf::kernels
