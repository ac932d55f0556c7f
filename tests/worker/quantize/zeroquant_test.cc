#include "worker/quantize/zeroquant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "kernels/fp16.h"
#include "tests/support/test_data.h"

namespace uaqf::quantize {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

// Written by tests/oracle/calibrated.py.
TEST(ZeroQuant, CodesAndScalesEqualTheOracle) {
  const auto json =
      nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/quantize/calibrated_codes.json")));
  const std::string bytes = absl::HexStringToBytes(json["weight"].get<std::string>());
  std::vector<float> weights(bytes.size() / 2);
  kernels::Fp16ToFloat(reinterpret_cast<const uint16_t*>(bytes.data()), static_cast<int64_t>(weights.size()),
                       weights.data());
  const auto pool = kernels::ThreadPool::CreateUnpinned(2);
  const auto matrix = QuantizeZeroQuant(FindVariant("zeroquant-w8a8:row-groups=6").value(), weights, json["rows"],
                                        json["columns"], *pool);
  std::vector<int8_t> codes;
  for (const auto& row : json["zeroquant"]["codes"]) {
    for (const auto& code : row) codes.push_back(code);
  }
  EXPECT_EQ(matrix.codes, codes);
  EXPECT_EQ(matrix.scales, json["zeroquant"]["scales"].get<std::vector<float>>());
}

TEST(ZeroQuant, LargestPositiveSaturatesAndLargestNegativeDoesNot) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(1);
  std::vector<float> weights(64, 1.0F);
  std::fill(weights.begin() + 32, weights.end(), -1.0F);
  const auto matrix = QuantizeZeroQuant(FindVariant("zeroquant-w8a8").value(), weights, 2, 32, *pool);
  EXPECT_THAT(std::vector<int8_t>(matrix.codes.begin(), matrix.codes.begin() + 32), Each(127));
  EXPECT_THAT(std::vector<int8_t>(matrix.codes.begin() + 32, matrix.codes.end()), Each(-128));
  EXPECT_THAT(matrix.scales, ElementsAre(1.0F / 128, 1.0F / 128));
}

TEST(ZeroQuant, RowsThatTheGroupsDoNotDivideAreSpread) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(2);
  std::vector<float> weights;
  for (int i = 0; i < 5 * 8; ++i) weights.push_back(static_cast<float>(i / 8 + 1));
  const auto matrix = QuantizeZeroQuant(FindVariant("zeroquant-w8a8:row-groups=2").value(), weights, 5, 8, *pool);
  EXPECT_THAT(matrix.scales, ElementsAre(2.0F / 128, 2.0F / 128, 5.0F / 128, 5.0F / 128, 5.0F / 128));
}

TEST(ZeroQuant, GroupsOfInputsHaveScalesOfTheirOwn) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(1);
  std::vector<float> weights(128, 1.0F);
  std::fill(weights.begin() + 64, weights.end(), 4.0F);
  const auto matrix = QuantizeZeroQuant(FindVariant("zeroquant-w8a8-g64").value(), weights, 1, 128, *pool);
  EXPECT_THAT(matrix.group_scales, ElementsAre(kernels::FloatToFp16(1.0F / 128), kernels::FloatToFp16(4.0F / 128)));
  EXPECT_TRUE(CheckMatrix(matrix).ok());
}

}  // namespace
}  // namespace uaqf::quantize
