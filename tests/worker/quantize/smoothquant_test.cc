#include "worker/quantize/smoothquant.h"

#include "tests/worker/quantize/methods_fixture.h"

namespace uaqf::quantize {
namespace {

TEST_F(Oracle, SmoothQuantScalesAreEqual) {
  for (const auto& [alpha, expected] : json_["smoothquant"].items()) {
    ExpectClose(ToFloats(SmoothingScales(x_.abs().amax(0), {weight_}, std::stod(alpha))), Flat(expected));
  }
}

TEST_F(BlockTest, SmoothingLeavesTheFunctionAsItIs) {
  std::array<at::Tensor, kSites> absmax;
  Run().Observe(block_, [&](Site site, const at::Tensor& x) {
    at::Tensor& most = absmax[static_cast<size_t>(site)];
    most = most.defined() ? at::maximum(most, x.abs().amax(0)) : x.abs().amax(0);
  });
  for (const double alpha : {0.0, 0.5, 0.85, 1.0}) {
    const Block smoothed = Smoothed(block_, absmax, alpha);
    const at::Tensor expected = function_->Run(block_, samples_[0], Untouched);
    const at::Tensor got = function_->Run(smoothed, samples_[0], Untouched);
    EXPECT_LT(((got - expected).abs().max() / expected.abs().max()).item<float>(), 1e-5F) << alpha;
  }
}

TEST_F(BlockTest, SmoothQuantFixesInputScalesInO3Only) {
  for (const char* name : {"smoothquant-o1", "smoothquant-o2", "smoothquant-o3", "smoothquant-channel"}) {
    BlockRun run = Run();
    const Variant variant = FindVariant(name).value();
    const auto block = QuantizeSmoothQuant(variant, run);
    ASSERT_TRUE(block.ok()) << block.status();
    for (const QuantizedMatrix& matrix : block->matrices) {
      EXPECT_EQ(matrix.input_scale > 0, variant.activation_scope == ActivationScope::kStatic) << name;
      EXPECT_TRUE(CheckMatrix(matrix).ok());
    }
  }
}

// What the fixed scale stands for is the largest input of the smoothed layer.
TEST_F(BlockTest, FixedScalesSpanTheSmoothedInputs) {
  BlockRun run = Run();
  const auto quantized = QuantizeSmoothQuant(FindVariant("smoothquant-o3").value(), run);
  ASSERT_TRUE(quantized.ok());
  Block smoothed = block_;
  smoothed.attention_norm = FromFloats(quantized->attention_norm, {64}, at::kCPU);
  float most = 0;
  for (const at::Tensor& sample : samples_) {
    most = std::max(most, function_->Norm(smoothed.attention_norm, sample).abs().max().item<float>());
  }
  EXPECT_NEAR(quantized->matrices[0].input_scale * 127, most, 1e-4 * most);
}

}  // namespace
}  // namespace uaqf::quantize
