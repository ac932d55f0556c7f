#include "worker/model/tensor_type.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "tests/support/test_data.h"

namespace uaqf::model {
namespace {

TensorType TypeByName(const std::string& name) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0,
                                TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ4_K, TensorType::kQ6_K}) {
    if (TypeName(type) == name) return type;
  }
  ADD_FAILURE() << "no type " << name;
  return TensorType::kF32;
}

// The oracle is what the `gguf` package computes, written by tests/oracle/gguf_blocks.py.
TEST(TensorType, BlocksAreBitEqualToTheGgufPackage) {
  const auto cases = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/model/gguf_blocks.json")));
  ASSERT_EQ(cases.size(), 7U);
  for (const auto& [name, oracle] : cases.items()) {
    const std::string blocks = absl::HexStringToBytes(oracle["blocks"].get<std::string>());
    const std::string expected = absl::HexStringToBytes(oracle["values"].get<std::string>());
    const TensorType type = TypeByName(name);
    std::vector<float> values(expected.size() / sizeof(float));
    ASSERT_EQ(BytesOf(type, static_cast<int64_t>(values.size())).value(), static_cast<int64_t>(blocks.size())) << name;
    ToFloat(type, {reinterpret_cast<const uint8_t*>(blocks.data()), blocks.size()}, values);
    EXPECT_EQ(std::memcmp(values.data(), expected.data(), expected.size()), 0) << name;
  }
}

// FP16 has 65,536 values; the hardware-free reference below builds each from sign, exponent and mantissa.
TEST(TensorType, EveryHalfConvertsExactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double mantissa = bits & 1023;
    if (exponent == 31) continue;
    double expected = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if ((bits & 0x8000) != 0) expected = -expected;
    const uint8_t bytes[] = {static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8)};
    float value = 0;
    ToFloat(TensorType::kF16, bytes, {&value, 1});
    ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(static_cast<float>(expected))) << bits;
  }
}

TEST(TensorType, RefusesPartOfABlockAndOverflow) {
  EXPECT_FALSE(BytesOf(TensorType::kQ8_0, 33).ok());
  EXPECT_FALSE(BytesOf(TensorType::kF32, INT64_MAX).ok());
  EXPECT_FALSE(BytesOf(TensorType::kF16, -2).ok());
  EXPECT_EQ(BytesOf(TensorType::kQ6_K, 512).value(), 420);
}

}  // namespace
}  // namespace uaqf::model
