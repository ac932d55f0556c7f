// What tests of the calibrated methods share: the oracle's layer, random ones, and a block.
#pragma once

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "kernels/fp16.h"
#include "tests/support/test_data.h"
#include "worker/quantize/block_run.h"
#include "worker/quantize/tensors.h"

namespace uaqf::quantize {

inline at::Tensor Random(int64_t rows, int64_t columns, uint64_t seed) {
  at::Tensor values = at::empty({rows, columns}, at::kFloat);
  uint64_t state = seed;
  for (int64_t i = 0; i < values.numel(); ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    values.mutable_data_ptr<float>()[i] = static_cast<float>(state >> 40) / 8388608.0F - 1.0F;
  }
  return values;
}

// Second moments of correlated inputs.
inline at::Tensor Correlated(int64_t columns, uint64_t seed) {
  const at::Tensor x = at::matmul(Random(3 * columns, columns, seed), Random(columns, columns, seed + 1));
  return at::matmul(x.t(), x) / x.size(0);
}

// Written by tests/oracle/calibrated.py.
class Oracle : public ::testing::Test {
 protected:
  void SetUp() override {
    json_ = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/quantize/calibrated_codes.json")));
    weight_ = FromHex(json_["weight"], json_["rows"], json_["columns"]);
    x_ = FromHex(json_["x"], json_["tokens"], json_["columns"]);
    moments_ = at::matmul(x_.t(), x_) / x_.size(0);
  }

  static at::Tensor FromHex(const std::string& hex, int64_t rows, int64_t columns) {
    const std::string bytes = absl::HexStringToBytes(hex);
    std::vector<float> values(bytes.size() / 2);
    kernels::Fp16ToFloat(reinterpret_cast<const uint16_t*>(bytes.data()), static_cast<int64_t>(values.size()),
                         values.data());
    return FromFloats(values, {rows, columns}, at::kCPU);
  }

  static std::vector<double> Flat(const nlohmann::json& rows) {
    std::vector<double> flat;
    for (const auto& row : rows) {
      if (row.is_array()) {
        for (const auto& value : row) flat.push_back(value);
      } else {
        flat.push_back(row);
      }
    }
    return flat;
  }

  static void ExpectClose(const std::vector<float>& got, const std::vector<double>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5 * std::abs(expected[i])) << i;
  }

  static void ExpectEqual(const QuantizedMatrix& got, const nlohmann::json& expected) {
    EXPECT_TRUE(CheckMatrix(got).ok()) << CheckMatrix(got);
    EXPECT_THAT(got.codes, ::testing::ElementsAreArray(Flat(expected["codes"])));
    std::vector<float> scales = got.scales;
    for (const uint16_t bits : got.group_scales) scales.push_back(kernels::Fp16ToFloat(bits));
    ExpectClose(scales, Flat(expected["scales"]));
    if (!got.zeros.empty()) {
      EXPECT_THAT(got.zeros, ::testing::ElementsAreArray(Flat(expected["zeros"])));
    }
    EXPECT_THAT(got.order, ::testing::ElementsAreArray(Flat(expected["order"])));
  }

  nlohmann::json json_;
  at::Tensor weight_, x_, moments_;
};

// A block of a model with fewer heads of keys than of queries.
class BlockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.hidden = 64;
    config_.heads = 4;
    config_.kv_heads = 2;
    config_.head_dim = 16;
    config_.ff = 128;
    config_.context = 64;
    const int64_t sizes[kProjections][2] = {{64, 64}, {32, 64}, {32, 64}, {64, 64}, {128, 64}, {128, 64}, {64, 128}};
    for (size_t i = 0; i < kProjections; ++i) block_.layers[i].weight = Random(sizes[i][0], sizes[i][1], 30 + i) * 0.2;
    block_.at(Projection::kV).bias = Random(1, 32, 40).flatten();
    block_.attention_norm = Random(1, 64, 41).flatten() + 1.5;
    block_.mlp_norm = Random(1, 64, 42).flatten() + 1.5;
    for (uint64_t seed = 50; seed < 53; ++seed) {
      at::Tensor sample = Random(24, 64, seed);
      sample.select(1, 5).mul_(30);  // an outlier channel
      samples_.push_back(sample);
    }
    function_ = std::make_unique<BlockFunction>(config_, 24, at::kCPU);
  }

  BlockRun Run() const { return BlockRun(0, config_, block_, *function_, samples_); }

  double LossOf(const Block& block) const {
    double loss = 0;
    for (const at::Tensor& sample : samples_) {
      const at::Tensor expected = function_->Run(block_, sample, Untouched);
      loss += (function_->Run(block, sample, Untouched) - expected).square().sum().item<double>();
    }
    return loss;
  }

  model::ModelConfig config_;
  Block block_;
  std::vector<at::Tensor> samples_;
  std::unique_ptr<BlockFunction> function_;
};

}  // namespace uaqf::quantize
