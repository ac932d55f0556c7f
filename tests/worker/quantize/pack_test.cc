#include "worker/quantize/pack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "kernels/matmul.h"
#include "tests/support/test_data.h"
#include "tests/worker/model/layer_cases.h"
#include "worker/model/gguf_blocks.h"

namespace uaqf::quantize {
namespace {

model::StoredMatrix Read(const test::LayerCase& layer) {
  return layer.Layers().Read("layer.weight", {0, layer.rows}).value();
}

std::vector<float> Multiply(const kernels::PackedMatrix& packed, const std::vector<float>& x, int64_t tokens) {
  const std::unique_ptr<kernels::ThreadPool> pool = kernels::ThreadPool::CreateUnpinned(2);
  std::vector<float> y(static_cast<size_t>(tokens * packed.rows()));
  const kernels::Product product = {&packed, y.data()};
  kernels::MatMul({&product, 1}, x.data(), tokens, kernels::Activations::kFloat, *pool);
  return y;
}

// Every permutation error shows: one input at a time, in decoding and in prefill.
TEST(PackRelease, OneHotActivationsReadBackEveryColumnOfEveryFormat) {
  for (const auto& [name, layer] : test::LayerCases()) {
    const auto packed = Pack(Read(layer));
    ASSERT_TRUE(packed.ok()) << name << ": " << packed.status();
    std::vector<float> identity(static_cast<size_t>(layer.columns * layer.columns));
    for (int64_t i = 0; i < layer.columns; ++i) identity[i * layer.columns + i] = 1;
    const std::vector<float> together = Multiply(*packed, identity, layer.columns);
    for (int64_t col = 0; col < layer.columns; ++col) {
      const std::vector<float> one(identity.begin() + col * layer.columns,
                                   identity.begin() + (col + 1) * layer.columns);
      const std::vector<float> alone = Multiply(*packed, one, 1);
      for (int64_t row = 0; row < layer.rows; ++row) {
        const float expected = layer.values[row * layer.columns + col];
        ASSERT_EQ(alone[row], expected) << name << " row " << row << " column " << col;
        ASSERT_EQ(together[col * layer.rows + row], expected) << name << " row " << row << " column " << col;
      }
    }
  }
}

TEST(PackRelease, DequantizesToTheBitsOfTheRelease) {
  for (const auto& [name, layer] : test::LayerCases()) {
    std::vector<float> values(layer.values.size());
    Pack(Read(layer))->DequantizeRows(0, layer.rows, values.data());
    EXPECT_EQ(std::memcmp(values.data(), layer.values.data(), values.size() * sizeof(float)), 0) << name;
  }
}

TEST(PackRelease, KeepsGgufBlocksToTheBit) {
  const auto cases = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/model/gguf_blocks.json")));
  for (const model::TensorType type : {model::TensorType::kQ8_0, model::TensorType::kQ4_0, model::TensorType::kQ4_1,
                                       model::TensorType::kQ4_K, model::TensorType::kQ6_K}) {
    const std::string blocks =
        absl::HexStringToBytes(cases[std::string(model::TypeName(type))]["blocks"].get<std::string>());
    const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(blocks.data()), blocks.size());
    const model::BlockShape shape = model::BlockOf(type);
    const int64_t columns = static_cast<int64_t>(blocks.size()) / shape.bytes * shape.elements;
    model::StoredMatrix matrix = model::EmptyBlocks(type, 1, columns);
    model::UnpackRow(type, bytes, 0, matrix);
    std::vector<float> expected(static_cast<size_t>(columns));
    model::ToFloat(type, bytes, expected);
    const auto packed = Pack(matrix);
    ASSERT_TRUE(packed.ok()) << packed.status();
    std::vector<float> values(expected.size());
    packed->DequantizeRow(0, values.data());
    EXPECT_EQ(std::memcmp(values.data(), expected.data(), expected.size() * sizeof(float)), 0) << TypeName(type);
  }
}

// A symmetric release runs at the cost of a symmetric variant.
TEST(PackRelease, LeavesOutZerosThatAreNone) {
  const auto cases = test::LayerCases();
  EXPECT_FALSE(Pack(Read(cases.at("gptq_v1_sym_act_order")))->affine());
  EXPECT_TRUE(Pack(Read(cases.at("gptq_v1_g32")))->affine());
  EXPECT_EQ(Pack(Read(cases.at("gptq_v1_channel_sym")))->granularity(), kernels::ScaleGranularity::kPerRow);
  EXPECT_EQ(Pack(Read(cases.at("gptq_v1_channel")))->granularity(), kernels::ScaleGranularity::kPerGroup);
}

}  // namespace
}  // namespace uaqf::quantize
