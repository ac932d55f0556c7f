#include "worker/quantize/tensors.h"

#include "tests/worker/quantize/methods_fixture.h"
#include "worker/quantize/rtn.h"

namespace uaqf::quantize {
namespace {

TEST(RoundToGrid, IsRoundToNearestForAbsMax) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(1);
  const at::Tensor weight = Random(24, 256, 3);
  for (const char* name : {"rtn-w8", "rtn-w4", "rtn-w8-channel", "rtn-w4-channel", "rtn-w4-g128", "rtn-w4-g32"}) {
    const Variant variant = FindVariant(name).value();
    const QuantizedMatrix expected = QuantizeRtn(variant, ToFloats(weight), 24, 256, *pool);
    const QuantizedMatrix got =
        RoundToGrid(GridRule::kAbsMax, variant.weight_bits, weight, variant.granularity, variant.group_size);
    EXPECT_EQ(got.codes, expected.codes) << name;
    EXPECT_EQ(got.scales, expected.scales) << name;
    EXPECT_EQ(got.group_scales, expected.group_scales) << name;
  }
}

// By hand.
TEST(Dequantized, IsScaleTimesCodeMinusZeroInTheInputsOrder) {
  QuantizedMatrix matrix;
  matrix.bits = 4;
  matrix.granularity = Granularity::kGroup;
  matrix.rows = 2;
  matrix.columns = 3;
  matrix.group_size = 3;
  matrix.codes = {1, 2, 3, -8, 7, 0};
  matrix.group_scales = {0x3c00, 0x4000};  // 1 and 2
  matrix.zeros = {1, -1};
  matrix.order = {2, 0, 1};
  const std::vector<float> expected = {1, 2, 0, 16, 2, -14};
  EXPECT_EQ(ToFloats(Dequantized(matrix, at::kCPU)), expected);
  matrix.order.clear();
  matrix.zeros.clear();
  EXPECT_EQ(ToFloats(Dequantized(matrix, at::kCPU)), (std::vector<float>{1, 2, 3, -16, 14, 0}));
  matrix.granularity = Granularity::kChannel;
  matrix.group_size = 0;
  matrix.group_scales.clear();
  matrix.scales = {0.5F, 3};
  EXPECT_EQ(ToFloats(Dequantized(matrix, at::kCPU)), (std::vector<float>{0.5F, 1, 1.5F, -24, 21, 0}));
}

}  // namespace
}  // namespace uaqf::quantize
