#include "worker/quantize/rtn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "kernels/fp16.h"
#include "tests/support/test_data.h"
#include "worker/quantize/pack.h"

namespace uaqf::quantize {
namespace {

template <typename T>
std::vector<T> FromHex(const nlohmann::json& hex) {
  const std::string bytes = absl::HexStringToBytes(hex.get<std::string>());
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<float> FromHalves(const std::vector<uint16_t>& bits) {
  std::vector<float> values(bits.size());
  for (size_t i = 0; i < bits.size(); ++i) values[i] = kernels::Fp16ToFloat(bits[i]);
  return values;
}

// The oracle is numpy's, written by tests/oracle/rtn.py.
class RtnOracle : public ::testing::Test {
 protected:
  void SetUp() override {
    cases_ = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/quantize/rtn_codes.json")));
    ASSERT_EQ(cases_.size(), 4U);
    pool_ = kernels::ThreadPool::CreateUnpinned(2);
  }

  template <typename Check>
  void ForEach(Check check) {
    for (const auto& one : cases_) {
      const std::vector<float> weights = FromHalves(FromHex<uint16_t>(one["weights"]));
      for (const auto& [name, expected] : one["variants"].items()) {
        SCOPED_TRACE(one["name"].get<std::string>() + " " + name);
        check(FindVariant(name).value(), weights, one["rows"].get<int64_t>(), one["columns"].get<int64_t>(), expected);
      }
    }
  }

  nlohmann::json cases_;
  std::unique_ptr<kernels::ThreadPool> pool_;
};

TEST_F(RtnOracle, CodesAndScalesAreEqual) {
  ForEach([&](const Variant& variant, const std::vector<float>& weights, int64_t rows, int64_t columns,
              const nlohmann::json& expected) {
    const QuantizedMatrix matrix = QuantizeRtn(variant, weights, rows, columns, *pool_);
    EXPECT_EQ(matrix.codes, FromHex<int8_t>(expected["codes"]));
    const std::vector<float> scales =
        variant.granularity == Granularity::kGroup ? FromHalves(matrix.group_scales) : matrix.scales;
    EXPECT_EQ(scales, FromHex<float>(expected["scales"]));
  });
}

TEST_F(RtnOracle, CodesDoNotDependOnTheNumberOfLanes) {
  const auto one_lane = kernels::ThreadPool::CreateUnpinned(1);
  ForEach([&](const Variant& variant, const std::vector<float>& weights, int64_t rows, int64_t columns,
              const nlohmann::json&) {
    const QuantizedMatrix one = QuantizeRtn(variant, weights, rows, columns, *one_lane);
    const QuantizedMatrix two = QuantizeRtn(variant, weights, rows, columns, *pool_);
    EXPECT_EQ(one.codes, two.codes);
    EXPECT_EQ(one.scales, two.scales);
    EXPECT_EQ(one.group_scales, two.group_scales);
  });
}

// What the kernels read back is code times scale, exactly.
TEST_F(RtnOracle, PackedMatricesHoldCodeTimesScale) {
  ForEach([&](const Variant& variant, const std::vector<float>& weights, int64_t rows, int64_t columns,
              const nlohmann::json& expected) {
    const auto packed = PackLinear(variant, weights, rows, columns, *pool_);
    ASSERT_TRUE(packed.ok()) << packed.status();
    const auto codes = FromHex<int8_t>(expected["codes"]);
    const auto scales = FromHex<float>(expected["scales"]);
    const size_t shared = codes.size() / scales.size();
    std::vector<float> row(static_cast<size_t>(columns));
    for (int64_t r = 0; r < rows; ++r) {
      packed->DequantizeRow(r, row.data());
      for (int64_t c = 0; c < columns; ++c) {
        const auto at = static_cast<size_t>(r * columns + c);
        ASSERT_EQ(row[static_cast<size_t>(c)], static_cast<float>(codes[at]) * scales[at / shared]) << r << ", " << c;
      }
    }
  });
}

TEST(PackLinear, KeepsFp16Bits) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(1);
  std::vector<float> weights = {0.1F, -2.5F, 1e-7F, 65504.0F, 0.0F, -0.0F};
  ASSERT_TRUE(RoundToFp16(weights, *pool).ok());
  EXPECT_EQ(weights[0], 0.0999755859375F);
  const auto packed = PackLinear(FindVariant("fp16").value(), weights, 2, 3, *pool);
  ASSERT_TRUE(packed.ok()) << packed.status();
  std::vector<float> back(6);
  packed->DequantizeRows(0, 2, back.data());
  EXPECT_EQ(back, weights);
}

TEST(PackLinear, RefusesAWrongSize) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(1);
  const std::vector<float> weights(5);
  EXPECT_FALSE(PackLinear(FindVariant("rtn-w8").value(), weights, 2, 3, *pool).ok());
}

TEST(RoundToFp16, RefusesWhatFp16CannotHold) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(2);
  for (const float bad : {70000.0F, -1e30F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::vector<float> weights(1000, 0.5F);
    weights[777] = bad;
    EXPECT_FALSE(RoundToFp16(weights, *pool).ok()) << bad;
  }
}

}  // namespace
}  // namespace uaqf::quantize
