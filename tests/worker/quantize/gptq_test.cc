#include "worker/quantize/gptq.h"

#include <limits>

#include "tests/worker/quantize/methods_fixture.h"

namespace uaqf::quantize {
namespace {

using ::testing::HasSubstr;

at::Tensor Solved(const at::Tensor& weight, const at::Tensor& moments, const GptqOptions& options) {
  const auto factor = FactorMoments(moments, options);
  EXPECT_TRUE(factor.ok()) << factor.status();
  return Dequantized(SolveGptq(weight, *factor, options), at::kCPU);
}

at::Tensor Nearest(const at::Tensor& weight, const GptqOptions& options) {
  return Dequantized(
      RoundToGrid(GridRule::kGptqSymmetric, options.bits, weight, options.granularity, options.group_size), at::kCPU);
}

constexpr GptqOptions kChannelOptions = {};
constexpr GptqOptions kGroupOptions = {.granularity = Granularity::kGroup, .group_size = 64};

TEST_F(Oracle, GptqCodesAreEqual) {
  for (const auto& [name, expected] : json_["gptq"].items()) {
    SCOPED_TRACE(name);
    GptqOptions options = name.find("g64") == std::string::npos ? kChannelOptions : kGroupOptions;
    options.bits = name.find("w8") == std::string::npos ? 4 : 8;
    options.symmetric = name.find("span") == std::string::npos;
    options.act_order = name.find("act-order") != std::string::npos;
    options.static_groups = name.find("static") != std::string::npos;
    const auto factor = FactorMoments(moments_, options);
    ASSERT_TRUE(factor.ok()) << factor.status();
    ExpectEqual(SolveGptq(weight_, *factor, options), expected);
  }
}

TEST(Gptq, IsRoundToNearestWithUncorrelatedInputs) {
  const at::Tensor weight = Random(32, 256, 1);
  const at::Tensor moments = at::diag(Random(1, 256, 2).flatten().abs() + 0.1F);
  for (const GptqOptions& options : {kChannelOptions, kGroupOptions}) {
    EXPECT_TRUE(at::equal(Solved(weight, moments, options), Nearest(weight, options)));
  }
}

TEST(Gptq, IsRoundToNearestWithAllDamping) {
  const at::Tensor weight = Random(32, 256, 1);
  GptqOptions options = kGroupOptions;
  options.damp = 1e7;
  EXPECT_TRUE(at::equal(Solved(weight, Correlated(256, 5), options), Nearest(weight, options)));
}

TEST(Gptq, LosesLessThanRoundToNearest) {
  const at::Tensor weight = Random(48, 256, 7);
  const at::Tensor moments = Correlated(256, 8);
  for (const bool act_order : {false, true}) {
    for (GptqOptions options : {kChannelOptions, kGroupOptions}) {
      options.act_order = act_order;
      const double loss = LayerLoss(weight, Solved(weight, moments, options), moments);
      EXPECT_LT(loss, 0.7 * LayerLoss(weight, Nearest(weight, options), moments));
    }
  }
}

TEST(Gptq, ActOrderChangesNothingWhereAllInputsAreAlike) {
  const at::Tensor weight = Random(16, 128, 9);
  at::Tensor moments = Correlated(128, 10);
  const at::Tensor deviation = moments.diagonal().sqrt();
  moments = moments / deviation.unsqueeze(0) / deviation.unsqueeze(1);
  moments.diagonal().fill_(1);
  GptqOptions ordered = kGroupOptions;
  ordered.act_order = true;
  EXPECT_TRUE(at::equal(Solved(weight, moments, ordered), Solved(weight, moments, kGroupOptions)));
}

TEST(Gptq, PermutedInputsWithActOrderGiveThePermutedMatrix) {
  const at::Tensor weight = Random(16, 128, 11);
  const at::Tensor moments = Correlated(128, 12);
  const at::Tensor shuffle = at::argsort(Random(1, 128, 13).flatten());
  GptqOptions options = kGroupOptions;
  options.act_order = true;
  const at::Tensor shuffled =
      Solved(weight.index_select(1, shuffle), moments.index_select(0, shuffle).index_select(1, shuffle), options);
  // The mean of the diagonal is summed in another order: last bits differ, codes hardly ever.
  const at::Tensor same = shuffled == Solved(weight, moments, options).index_select(1, shuffle);
  EXPECT_GT(same.to(at::kFloat).mean().item<float>(), 0.999F);
}

TEST(Gptq, DeadChannelsBecomeZero) {
  const at::Tensor weight = Random(16, 128, 14);
  at::Tensor moments = Correlated(128, 15);
  moments.select(0, 17).zero_();
  moments.select(1, 17).zero_();
  const at::Tensor solved = Solved(weight, moments, kGroupOptions);
  EXPECT_EQ(solved.select(1, 17).abs().max().item<float>(), 0.0F);
  EXPECT_TRUE(AllFinite(solved));
}

TEST(Gptq, SaysWhatIsWrongWithTheInputs) {
  at::Tensor moments = Correlated(64, 16);
  moments[3][3] = std::numeric_limits<float>::quiet_NaN();
  const absl::Status nan = FactorMoments(moments, kChannelOptions).status();
  EXPECT_EQ(nan.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(nan.message()), HasSubstr("not finite"));

  const absl::Status dead = FactorMoments(at::zeros({64, 64}), kChannelOptions).status();
  EXPECT_EQ(dead.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(dead.message()), HasSubstr("dead"));

  GptqOptions undamped = kChannelOptions;
  undamped.damp = 0;
  const absl::Status singular = FactorMoments(at::ones({64, 64}), undamped).status();
  EXPECT_EQ(singular.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(singular.message()), HasSubstr("raise the option damp"));
}

TEST(Gptq, FallsBackToDoublePrecision) {
  // Inputs whose moments span ten decades: more than FP32 can factor with so little damping.
  const at::Tensor spread = at::pow(10.0, at::arange(64).to(at::kDouble) / -6.4);
  const at::Tensor base = Correlated(64, 17).to(at::kDouble) + at::eye(64, at::kDouble);
  const at::Tensor moments = (base * spread.unsqueeze(0) * spread.unsqueeze(1)).to(at::kFloat);
  GptqOptions options = kChannelOptions;
  options.damp = 1e-9;
  EXPECT_TRUE(FactorMoments(moments, options).ok());
}

// Layers that read the same inputs are solved below each other.
TEST(Gptq, LayersSolvedTogetherAreThoseSolvedAlone) {
  const at::Tensor first = Random(8, 128, 20);
  const at::Tensor second = Random(12, 128, 21);
  for (GptqOptions options : {kChannelOptions, kGroupOptions}) {
    options.act_order = true;
    for (const bool symmetric : {false, true}) {
      options.symmetric = symmetric;
      const auto factor = FactorMoments(Correlated(128, 22), options);
      ASSERT_TRUE(factor.ok());
      const int64_t rows[] = {8, 12};
      const auto parts = SplitRows(SolveGptq(at::cat({first, second}, 0), *factor, options), rows);
      ASSERT_EQ(parts.size(), 2U);
      for (size_t i = 0; i < 2; ++i) {
        EXPECT_TRUE(CheckMatrix(parts[i]).ok()) << CheckMatrix(parts[i]);
        const QuantizedMatrix alone = SolveGptq(i == 0 ? first : second, *factor, options);
        EXPECT_EQ(parts[i].codes, alone.codes);
        EXPECT_EQ(parts[i].scales, alone.scales);
        EXPECT_EQ(parts[i].group_scales, alone.group_scales);
        EXPECT_EQ(parts[i].zeros, alone.zeros);
        EXPECT_EQ(parts[i].order, alone.order);
      }
    }
  }
}

TEST_F(BlockTest, GptqLosesLessThanRoundToNearest) {
  for (const char* name : {"gptq-w4", "gptq-w4-g64", "gptq-w4-g64:act-order=0:static-groups=0:true-sequential=0",
                           "gptq-w4-g64:static-groups=0", "gptq-w4:sym=0", "gptq-w8"}) {
    BlockRun run = Run();
    const Variant variant = FindVariant(name).value();
    const auto quantized = QuantizeGptq(variant, run);
    ASSERT_TRUE(quantized.ok()) << quantized.status();
    Block nearest = block_;
    for (Layer& layer : nearest.layers) {
      layer.weight = Dequantized(
          RoundToGrid(GridRule::kAbsMax, variant.weight_bits, layer.weight, variant.granularity, variant.group_size),
          at::kCPU);
    }
    EXPECT_LT(LossOf(Dequantized(*quantized, at::kCPU)), LossOf(nearest)) << name;
  }
}

}  // namespace
}  // namespace uaqf::quantize
