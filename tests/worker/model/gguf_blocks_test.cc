#include "worker/model/gguf_blocks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "tests/support/test_data.h"

namespace uaqf::model {
namespace {

// The oracle is what the `gguf` package computes, written by tests/oracle/gguf_blocks.py; here a row is one block.
TEST(GgufBlocks, IntegersAndScalesGiveTheGgufPackagesWeightsToTheBit) {
  const auto cases = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/model/gguf_blocks.json")));
  for (const TensorType type :
       {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ4_K, TensorType::kQ6_K}) {
    const auto& oracle = cases[std::string(TypeName(type))];
    const std::string blocks = absl::HexStringToBytes(oracle["blocks"].get<std::string>());
    const std::string expected = absl::HexStringToBytes(oracle["values"].get<std::string>());
    const BlockShape shape = BlockOf(type);
    const auto rows = static_cast<int64_t>(blocks.size()) / shape.bytes;
    StoredMatrix matrix = EmptyBlocks(type, rows, shape.elements);
    for (int64_t row = 0; row < rows; ++row) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(blocks.data()) + row * shape.bytes;
      UnpackRow(type, {bytes, static_cast<size_t>(shape.bytes)}, row, matrix);
    }
    std::vector<float> values(static_cast<size_t>(rows * shape.elements));
    Dequantize(matrix, values);
    ASSERT_EQ(values.size() * sizeof(float), expected.size());
    EXPECT_EQ(std::memcmp(values.data(), expected.data(), expected.size()), 0) << TypeName(type);
  }
}

TEST(GgufBlocks, SeveralBlocksOfARowStandSideBySide) {
  const auto cases = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/model/gguf_blocks.json")));
  const std::string blocks = absl::HexStringToBytes(cases["Q4_K"]["blocks"].get<std::string>());
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(blocks.data()), blocks.size());
  StoredMatrix matrix = EmptyBlocks(TensorType::kQ4_K, 2, 3 * 256);
  UnpackRow(TensorType::kQ4_K, bytes, 1, matrix);
  std::vector<float> values(2 * 3 * 256);
  Dequantize(matrix, values);
  std::vector<float> expected(3 * 256);
  ToFloat(TensorType::kQ4_K, bytes, expected);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), values.begin() + 3 * 256));
}

}  // namespace
}  // namespace uaqf::model
