#include "worker/quantize/atom.h"

#include "kernels/matmul.h"
#include "tests/worker/quantize/methods_fixture.h"
#include "worker/quantize/gptq.h"
#include "worker/quantize/pack.h"

namespace uaqf::quantize {
namespace {

TEST(Atom, PutsTheLargestChannelsLast) {
  const at::Tensor moments = at::diag(at::tensor({3.0F, 9.0F, 1.0F, 1.0F, 5.0F}));
  EXPECT_EQ(ToIndices(AtomOrder(moments)), (std::vector<int32_t>{2, 3, 0, 4, 1}));
}

// Codes of INT8 channels among the last, neighbours' scales shared, and what the kernels make of it.
TEST(Atom, KernelsComputeWhatIsRounded) {
  for (const bool gptq : {false, true}) {
    const AtomOptions options = {.group_size = 32, .keepers = 32, .gptq = gptq};
    const at::Tensor weight = Random(20, 160, 60);
    const auto factor = FactorMoments(Correlated(160, 61), GptqOptions{});
    ASSERT_TRUE(factor.ok());
    const QuantizedMatrix matrix = AtomWeights(weight, factor->spread, options);
    ASSERT_TRUE(CheckMatrix(matrix).ok()) << CheckMatrix(matrix);
    for (int64_t i = 0; i < 20 * 160; ++i) {
      const bool kept = i % 160 >= 128;
      EXPECT_TRUE(kept || (matrix.codes[static_cast<size_t>(i)] >= -8 && matrix.codes[static_cast<size_t>(i)] <= 7));
    }
    for (int64_t row = 0; row < 20; row += 2) {
      for (int64_t group = 0; group < 4; ++group) {
        EXPECT_EQ(matrix.group_scales[static_cast<size_t>(row * 5 + group)],
                  matrix.group_scales[static_cast<size_t>((row + 1) * 5 + group)]);
      }
    }
    const at::Tensor x = Random(7, 160, 62) * 3;
    const at::Tensor expected =
        at::matmul(AtomActivations(x, options).to(at::kDouble), Dequantized(matrix, at::kCPU).to(at::kDouble).t());
    const auto packed = Pack(matrix);
    ASSERT_TRUE(packed.ok()) << packed.status();
    const auto pool = kernels::ThreadPool::CreateUnpinned(1);
    kernels::Activations activations = {.kind = kernels::Activations::Kind::kGroups};
    activations.clip = static_cast<float>(options.activation_clip);
    activations.keepers = options.keepers;
    at::Tensor many = at::empty({7, 20}, at::kFloat);
    const kernels::Product product = {&*packed, many.mutable_data_ptr<float>()};
    kernels::MatMul({&product, 1}, x.const_data_ptr<float>(), 7, activations, *pool);
    at::Tensor one = at::empty({7, 20}, at::kFloat);
    for (int64_t token = 0; token < 7; ++token) {
      const kernels::Product alone = {&*packed, one.mutable_data_ptr<float>() + token * 20};
      kernels::MatVec({&alone, 1}, x.const_data_ptr<float>() + token * 160, activations, *pool);
    }
    EXPECT_TRUE(at::equal(one, many));
    EXPECT_LT((many.to(at::kDouble) - expected).abs().max().item<double>(), 1e-4);
  }
}

TEST_F(BlockTest, AtomWithGptqLosesLessThanWithout) {
  Variant variant = FindVariant("atom-w4a4-g64").value();
  variant.group_size = 16;
  const auto loss = [&](double gptq) {
    for (Option& option : variant.options) {
      if (option.name == "keepers") option.value = 16;
      if (option.name == "gptq") option.value = gptq;
    }
    BlockRun run = Run();
    const auto quantized = QuantizeAtom(variant, run);
    EXPECT_TRUE(quantized.ok()) << quantized.status();
    const Block block = Dequantized(*quantized, at::kCPU);
    const auto hook = AtomHook(variant, *quantized, at::kCPU);
    double sum = 0;
    double power = 0;
    for (const at::Tensor& sample : samples_) {
      const at::Tensor expected = function_->Run(block_, sample, Untouched);
      sum += (function_->Run(block, sample, hook) - expected).square().sum().item<double>();
      power += (expected - sample).square().sum().item<double>();
    }
    return sum / power;
  };
  const double with = loss(1);
  EXPECT_LT(with, loss(0));
  EXPECT_LT(with, 0.2);
}

}  // namespace
}  // namespace uaqf::quantize
