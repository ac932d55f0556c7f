// RMS norm, RoPE, SiLU, argmax and log-softmax against their definitions in FP64.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/argmax.h"
#include "kernels/log_softmax.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/silu_mul.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class SmallOpsTest : public ::testing::TestWithParam<Isa> {};

TEST_P(SmallOpsTest, RmsNormAgreesWithFloat64) {
  for (const int64_t size : {1, 8, 15, 16, 33, 64, 172, 576, 4097}) {
    for (const float magnitude : {1e-6f, 1.0f, 1e4f}) {
      const std::vector<float> x = RandomVector(size, size, magnitude);
      const std::vector<float> weight = RandomVector(size, size + 1);
      std::vector<float> y(size);
      RmsNorm(x.data(), weight.data(), size, 1e-5f, y.data(), GetParam());
      double sum = 0;
      for (float value : x) sum += static_cast<double>(value) * value;
      const double factor = 1 / std::sqrt(sum / static_cast<double>(size) + 1e-5f);
      for (int64_t i = 0; i < size; ++i) {
        const double expected = x[i] * factor * weight[i];
        ASSERT_NEAR(y[i], expected, 1e-6 * std::fabs(expected)) << size;
      }
    }
  }
}

TEST_P(SmallOpsTest, RmsNormMayOverwriteItsInput) {
  const std::vector<float> weight = RandomVector(70, 1);
  std::vector<float> x = RandomVector(70, 2);
  std::vector<float> apart(70);
  RmsNorm(x.data(), weight.data(), 70, 1e-5f, apart.data(), GetParam());
  RmsNorm(x.data(), weight.data(), 70, 1e-5f, x.data(), GetParam());
  EXPECT_EQ(x, apart);
}

TEST_P(SmallOpsTest, RopeRotatesTheHalvesAndLeavesTheRest) {
  for (const auto& [head_dim, rotary] :
       std::vector<std::pair<int64_t, int64_t>>{{8, 8}, {64, 64}, {80, 32}, {256, 256}, {12, 6}}) {
    const int64_t half = rotary / 2;
    std::vector<float> cosine(half), sine(half);
    for (int64_t i = 0; i < half; ++i) {
      cosine[i] = static_cast<float>(std::cos(37 * std::pow(1e-4, static_cast<double>(i) / half)));
      sine[i] = static_cast<float>(std::sin(37 * std::pow(1e-4, static_cast<double>(i) / half)));
    }
    const std::vector<float> x = RandomVector(3 * head_dim, head_dim);
    std::vector<float> y = x;
    ApplyRope(y.data(), 3, head_dim, rotary, cosine.data(), sine.data(), GetParam());
    for (int64_t head = 0; head < 3; ++head) {
      for (int64_t d = 0; d < head_dim; ++d) {
        const float* in = x.data() + head * head_dim;
        double expected = in[d];
        if (d < half) expected = static_cast<double>(in[d]) * cosine[d] - static_cast<double>(in[d + half]) * sine[d];
        if (d >= half && d < rotary) {
          expected = static_cast<double>(in[d]) * cosine[d - half] + static_cast<double>(in[d - half]) * sine[d - half];
        }
        ASSERT_NEAR(y[head * head_dim + d], expected, 2e-7) << head_dim << " " << d;
      }
    }
  }
}

TEST_P(SmallOpsTest, SiluMulAgreesWithFloat64OverTheWholeRange) {
  std::vector<float> gate = {0.0f, -0.0f, 1e-30f, -20.0f, 20.0f, -87.0f, 87.0f, -120.0f, 120.0f, 1e30f, -1e30f};
  const std::vector<float> more = RandomVector(150, 5, 30.0f);
  gate.insert(gate.end(), more.begin(), more.end());
  const std::vector<float> up = RandomVector(static_cast<int64_t>(gate.size()), 6, 2.0f);
  std::vector<float> y(gate.size());
  SiluMul(gate.data(), up.data(), static_cast<int64_t>(gate.size()), y.data(), GetParam());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
    // Beyond -88 the result is tiny, and only that is promised.
    ASSERT_NEAR(y[i], expected, 1e-6 * std::fabs(expected) + 1e-34 * std::fabs(gate[i])) << gate[i];
  }
  std::vector<float> in_place = up;
  SiluMul(gate.data(), in_place.data(), static_cast<int64_t>(gate.size()), in_place.data(), GetParam());
  EXPECT_EQ(in_place, y);
}

TEST_P(SmallOpsTest, ArgMaxTakesTheLowestIndexAtATie) {
  for (const int64_t size : {1, 5, 16, 64, 100, 1000}) {
    for (const int64_t first : {int64_t{0}, size / 3, size - 1}) {
      std::vector<float> values = RandomVector(size, size);
      for (int64_t i = first; i < size; i += 7) values[i] = 2.0f;
      EXPECT_EQ(ArgMax(values.data(), size, GetParam()), first);
    }
  }
}

TEST_P(SmallOpsTest, ArgMaxLooksPastNanAndMinusInfinity) {
  std::vector<float> values(40, -kInfinity);
  EXPECT_EQ(ArgMax(values.data(), 40, GetParam()), 0);
  values[0] = kNan;
  EXPECT_EQ(ArgMax(values.data(), 40, GetParam()), 1);
  values[33] = -3.0f;
  values[2] = kNan;
  EXPECT_EQ(ArgMax(values.data(), 40, GetParam()), 33);
  std::fill(values.begin(), values.end(), kNan);
  EXPECT_EQ(ArgMax(values.data(), 40, GetParam()), 0);
}

TEST_P(SmallOpsTest, NegativeLogLikelihoodAgreesWithFloat64) {
  for (const int64_t size : {1, 2, 15, 17, 512, 49152}) {
    for (const float magnitude : {0.0f, 1.0f, 30.0f, 1000.0f}) {
      const std::vector<float> logits = RandomVector(size, size, magnitude);
      long double sum = 0;
      for (float logit : logits) sum += std::exp(static_cast<long double>(logit));
      for (const int64_t target : {int64_t{0}, size / 2, size - 1}) {
        const double expected = static_cast<double>(std::log(sum) - logits[target]);
        EXPECT_NEAR(NegativeLogLikelihood(logits.data(), size, target, GetParam()), expected, 2e-6 + 1e-9 * expected);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, SmallOpsTest, ::testing::ValuesIn(UsableIsas()),
                         [](const auto& info) { return IsaTestName(info.param); });

}  // namespace
}  // namespace uaqf::kernels
