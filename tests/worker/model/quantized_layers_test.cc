#include "worker/model/quantized_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "tests/support/test_data.h"
#include "tests/worker/model/layer_cases.h"

namespace uaqf::model {
namespace {

using test::LayerCase;
using test::LayerCases;
using ::testing::HasSubstr;

constexpr char kName[] = "layer.weight";

std::string FailureOf(const LayerCase& layer) {
  return std::string(layer.Layers().Read(kName, {0, layer.rows}).status().message());
}

LayerCase CaseNamed(const std::string& name) { return LayerCases().at(name); }

// The oracle is tests/oracle/quantized_layers.py, which packs and unpacks on its own.
TEST(QuantizedLayers, CodesEqualTheOracleInTheOrderTheyAreIn) {
  for (const auto& [name, layer] : LayerCases()) {
    const auto matrix = layer.Layers().Read(kName, {0, layer.rows});
    ASSERT_TRUE(matrix.ok()) << name << ": " << matrix.status();
    for (int64_t row = 0; row < layer.rows; ++row) {
      for (int64_t col = 0; col < layer.columns; ++col) {
        const int64_t input = matrix->order.empty() ? col : matrix->order[col];
        ASSERT_EQ(matrix->codes[row * layer.columns + col], layer.codes[row * layer.columns + input]) << name;
      }
    }
  }
}

TEST(QuantizedLayers, WeightsAreBitEqualToTheOracle) {
  for (const auto& [name, layer] : LayerCases()) {
    const auto matrix = layer.Layers().Read(kName, {0, layer.rows});
    ASSERT_TRUE(matrix.ok()) << name << ": " << matrix.status();
    std::vector<float> values(layer.values.size());
    Dequantize(*matrix, values);
    EXPECT_EQ(std::memcmp(values.data(), layer.values.data(), values.size() * sizeof(float)), 0) << name;
  }
}

TEST(QuantizedLayers, SomeRowsAreThoseOfTheWhole) {
  for (const auto& [name, layer] : LayerCases()) {
    const auto matrix = layer.Layers().Read(kName, {5, 6});
    ASSERT_TRUE(matrix.ok()) << name << ": " << matrix.status();
    std::vector<float> values(6 * layer.columns);
    Dequantize(*matrix, values);
    EXPECT_TRUE(std::equal(values.begin(), values.end(), layer.values.begin() + 5 * layer.columns)) << name;
  }
  EXPECT_FALSE(CaseNamed("awq_g32").Layers().Read(kName, {11, 6}).ok());
  EXPECT_FALSE(CaseNamed("awq_g32").Layers().Read(kName, {-1, 2}).ok());
}

TEST(QuantizedLayers, KnowTheSizeOfALayerAndWhichAreLeftAlone) {
  for (const auto& [name, layer] : LayerCases()) {
    const auto size = layer.Layers().Find(kName);
    ASSERT_TRUE(size.has_value()) << name;
    EXPECT_EQ(size->rows, layer.rows) << name;
    EXPECT_EQ(size->columns, layer.columns) << name;
    EXPECT_FALSE(layer.Layers().Find("other.weight").has_value());
    EXPECT_EQ(layer.Layers().Read("other.weight", {0, 1}).status().code(), absl::StatusCode::kNotFound);
  }
}

TEST(QuantizedLayers, OrderOnlyWhatIsOutOfOrder) {
  EXPECT_TRUE(CaseNamed("gptq_v1_g32").Layers().Read(kName, {0, 1})->order.empty());
  EXPECT_EQ(CaseNamed("gptq_v2_act_order").Layers().Read(kName, {0, 1})->order.size(), 96U);
}

TEST(QuantizedLayers, RefuseAWrongNumberOfWords) {
  LayerCase layer = CaseNamed("gptq_v1_g32");
  layer.tensors["layer.qzeros"].shape = {3, 1};
  EXPECT_THAT(FailureOf(layer), HasSubstr("layer: qzeros is I32 of [3, 1], expected I32 of [3, 2]"));
  layer = CaseNamed("awq_g32");
  layer.tensors["layer.qzeros"].shape = {2, 2};
  EXPECT_THAT(FailureOf(layer), HasSubstr("qzeros is I32 of [2, 2], expected I32 of [3, 2]"));
  layer = CaseNamed("packed_g32");
  layer.tensors["layer.weight_scale"].shape = {16, 2};
  EXPECT_THAT(FailureOf(layer), HasSubstr("weight_scale is BF16 of [16, 2], expected 48 values"));
  // What weight_shape says beside 11 words is not believed; the checkpoint then misses a layer of the model's size.
  layer.tensors["layer.weight_packed"].shape = {16, 11};
  EXPECT_EQ(layer.Layers().Find(kName)->columns, 88);
  layer = CaseNamed("packed_g32_asym");
  layer.tensors["layer.weight_zero_point"].shape = {1, 3};
  EXPECT_THAT(FailureOf(layer), HasSubstr("weight_zero_point is I32 of [1, 3], expected I32 of [2, 3]"));
  layer = CaseNamed("int8_channel_w8a8");
  layer.tensors["layer.weight_scale"].shape = {8, 1};
  EXPECT_THAT(FailureOf(layer), HasSubstr("weight_scale is BF16 of [8, 1], expected 16 values"));
}

TEST(QuantizedLayers, RefuseATensorThatIsMissingOrOfAnotherType) {
  LayerCase layer = CaseNamed("gptq_v1_g32");
  layer.tensors.erase("layer.scales");
  EXPECT_THAT(FailureOf(layer), HasSubstr("layer: has no tensor scales"));
  layer = CaseNamed("packed_g32_asym");
  layer.tensors.erase("layer.weight_zero_point");
  EXPECT_THAT(FailureOf(layer), HasSubstr("weight_zero_point is missing"));
  layer = CaseNamed("awq_g32");
  layer.tensors["layer.qzeros"].dtype = "F32";
  EXPECT_THAT(FailureOf(layer), HasSubstr("qzeros is F32"));
}

TEST(QuantizedLayers, RefuseGroupsThatAreNone) {
  LayerCase layer = CaseNamed("gptq_v2_act_order");
  const int32_t beyond = 3;
  std::memcpy(layer.tensors["layer.g_idx"].bytes.data() + 4 * 7, &beyond, 4);
  EXPECT_THAT(FailureOf(layer), HasSubstr("g_idx puts input 7 into group 3, expected 0 to 2"));
  const int32_t negative = -1;
  std::memcpy(layer.tensors["layer.g_idx"].bytes.data() + 4 * 7, &negative, 4);
  EXPECT_THAT(FailureOf(layer), HasSubstr("into group -1"));
  layer = CaseNamed("packed_act_order");
  std::string& bytes = layer.tensors["layer.weight_g_idx"].bytes;
  std::fill(bytes.begin(), bytes.end(), '\0');
  EXPECT_THAT(FailureOf(layer), HasSubstr("g_idx gives group 0 96 inputs, expected 32"));
}

TEST(QuantizedLayers, RefuseScalesThatAreNoNumbersOrTooFineForFp16) {
  LayerCase layer = CaseNamed("awq_g32");
  layer.tensors["layer.scales"].bytes[1] = 0x7c;
  layer.tensors["layer.scales"].bytes[0] = 0;
  EXPECT_THAT(FailureOf(layer), HasSubstr("scales is not finite"));
  layer = CaseNamed("packed_g32");
  layer.tensors["layer.weight_scale"].bytes[1] = 0x01;  // about 2^-125
  EXPECT_THAT(FailureOf(layer), HasSubstr("which FP16 does not hold exactly"));
}

// Whatever the bytes, a reader answers; it neither reads outside nor hangs (the sanitizers' builds watch that).
TEST(QuantizedLayers, AnswerForAnyShapeAndBytes) {
  uint64_t state = 7;
  const auto next = [&state] { return state = state * 6364136223846793005ULL + 1442695040888963407ULL, state >> 33; };
  for (const auto& [name, good] : LayerCases()) {
    for (int i = 0; i < 50; ++i) {
      LayerCase layer = good;
      for (auto& [tensor_name, tensor] : layer.tensors) {
        if (next() % 3 == 0) tensor.bytes[next() % tensor.bytes.size()] = static_cast<char>(next());
        if (next() % 8 == 0) std::swap(tensor.shape.front(), tensor.shape.back());
      }
      const auto size = layer.Layers().Find(kName);
      if (!size) continue;
      const auto matrix = layer.Layers().Read(kName, {0, std::max<int64_t>(1, size->rows)});
      EXPECT_EQ(matrix.ok(), matrix.status().message().empty());
    }
  }
}

}  // namespace
}  // namespace uaqf::model
