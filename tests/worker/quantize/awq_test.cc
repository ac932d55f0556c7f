#include "worker/quantize/awq.h"

#include "tests/worker/quantize/methods_fixture.h"
#include "worker/quantize/gptq.h"

namespace uaqf::quantize {
namespace {

using ::testing::ElementsAreArray;

TEST_F(Oracle, AwqScalesClipsAndCodesAreEqual) {
  const nlohmann::json& expected = json_["awq"];
  const AwqOptions options = {.group_size = 64};
  const at::Tensor mean = x_.abs().mean(0);
  ExpectClose(ToFloats(AwqScales(mean, {weight_}, options, 7)), Flat(expected["scales"]));
  const QuantizedMatrix matrix = RoundToGrid(GridRule::kAwqSpan, 4, weight_, Granularity::kGroup, 64);
  EXPECT_THAT(matrix.codes, ElementsAreArray(Flat(expected["codes"])));
  EXPECT_THAT(matrix.zeros, ElementsAreArray(Flat(expected["zeros"])));
  EXPECT_TRUE(at::equal(AwqRound(weight_, options), Dequantized(matrix, at::kCPU)));
  for (int step = 0; step < 20; ++step) {
    const at::Tensor scales = AwqScales(mean, {weight_}, options, step);
    const at::Tensor out = at::matmul(x_, (AwqRound(weight_ * scales, options) / scales - weight_).t());
    const double loss = expected["losses"][static_cast<size_t>(step)];
    EXPECT_NEAR(out.square().mean().item<double>(), loss, 1e-3 * loss) << step;
  }
  // The range that the clip search left of each group.
  const at::Tensor left = GroupView(AwqClipped(weight_, moments_, options), Granularity::kGroup, 64).abs().amax(-1);
  ExpectClose(ToFloats(left.flatten()), Flat(expected["clip"]));
}

TEST(Awq, FirstStepIsRoundToNearest) {
  const at::Tensor mean = Random(1, 128, 20).flatten().abs();
  EXPECT_TRUE(at::equal(AwqScales(mean, {}, {.group_size = 64}, 0), at::ones({128})));
}

TEST(Awq, ZerosOfOneSignedGroupsStayInTheGrid) {
  const AwqOptions options = {.group_size = 64};
  for (const double shift : {3.0, -3.0}) {
    const at::Tensor weight = Random(4, 64, 21) + shift;
    const QuantizedMatrix matrix = RoundToGrid(GridRule::kAwqSpan, 4, weight, Granularity::kGroup, 64);
    EXPECT_TRUE(CheckMatrix(matrix).ok()) << CheckMatrix(matrix);
    EXPECT_TRUE(AllFinite(AwqRound(weight, options)));
  }
}

TEST(Awq, ClippingNeverLosesMoreOfAGroup) {
  const at::Tensor weight = Random(8, 128, 22).pow(5);  // a few large, many small
  const at::Tensor moments = Correlated(128, 23);
  const AwqOptions options = {.group_size = 64};
  const at::Tensor clipped = AwqRound(AwqClipped(weight, moments, options), options);
  const at::Tensor plain = AwqRound(weight, options);
  for (int64_t begin = 0; begin < 128; begin += 64) {
    const auto part = [&](const at::Tensor& t) { return t.slice(1, begin, begin + 64); };
    const at::Tensor own = part(moments).slice(0, begin, begin + 64);
    EXPECT_LE(LayerLoss(part(weight), part(clipped), own), LayerLoss(part(weight), part(plain), own) * 1.0001);
  }
}

TEST_F(BlockTest, AwqLosesLessThanRoundToNearest) {
  BlockRun run = Run();
  const auto quantized = QuantizeAwq(FindVariant("awq-w4-g64").value(), run);
  ASSERT_TRUE(quantized.ok()) << quantized.status();
  Block nearest = block_;
  for (Layer& layer : nearest.layers) {
    layer.weight = Dequantized(RoundToGrid(GridRule::kAwqSpan, 4, layer.weight, Granularity::kGroup, 64), at::kCPU);
  }
  EXPECT_LT(LossOf(Dequantized(*quantized, at::kCPU)), LossOf(nearest));
}

TEST_F(BlockTest, AwqLeavesOutputRowsOfSharedValuesAlone) {
  BlockRun run = Run();
  const auto quantized = QuantizeAwq(FindVariant("awq-w4-g64:clip=0").value(), run);
  ASSERT_TRUE(quantized.ok());
  const QuantizedMatrix plain =
      RoundToGrid(GridRule::kAwqSpan, 4, block_.at(Projection::kO).weight, Granularity::kGroup, 64);
  EXPECT_EQ(quantized->matrices[static_cast<size_t>(Projection::kO)].codes, plain.codes);
  EXPECT_EQ(quantized->biases[static_cast<size_t>(Projection::kV)], ToFloats(block_.at(Projection::kV).bias));
}

}  // namespace
}  // namespace uaqf::quantize
