// The default model, layer by layer: GPTQ loses less of every layer's outputs than rounding to the nearest.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "tests/support/test_data.h"
#include "worker/quantize/gptq.h"

namespace uaqf::quantize {
namespace {

constexpr int64_t kSamples = 4;
constexpr int64_t kTokens = 256;

// Any tokens do for a comparison on the same moments; these are spread over the vocabulary as a text's are not.
std::vector<int32_t> Ids(int64_t sample, int64_t vocab) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < kTokens; ++i) ids.push_back(static_cast<int32_t>((i * i * 31 + sample * 7919 + 17) % vocab));
  return ids;
}

TEST(Smollm2Layers, GptqLosesLessOfEachThanRoundToNearest) {
  UAQF_NEED_FILE(test::DefaultModel());
  const c10::InferenceMode inference;
  at::set_num_threads(1);
  const auto checkpoint = model::Checkpoint::Open(test::DefaultModel());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const model::ModelConfig& config = (*checkpoint)->config();
  const BlockFunction function(config, kTokens, at::kCPU);
  std::vector<at::Tensor> hidden;
  for (int64_t i = 0; i < kSamples; ++i) hidden.push_back(*Embed(**checkpoint, Ids(i, config.vocab), at::kCPU));
  const GptqOptions options = {.granularity = Granularity::kGroup, .group_size = 64};
  double worst = 0;
  for (int64_t index = 0; index < config.layers; ++index) {
    const auto block = LoadBlock(**checkpoint, index, at::kCPU);
    ASSERT_TRUE(block.ok()) << block.status();
    const BlockRun run(index, config, *block, function, hidden);
    const auto moments = run.Moments(*block, {true, true, true, true});
    for (size_t i = 0; i < kProjections; ++i) {
      const at::Tensor& weight = block->layers[i].weight;
      const at::Tensor& own = moments[static_cast<size_t>(SiteOf(static_cast<Projection>(i)))];
      const auto factor = FactorMoments(own, options);
      ASSERT_TRUE(factor.ok()) << factor.status();
      const double gptq = LayerLoss(weight, Dequantized(SolveGptq(weight, *factor, options), at::kCPU), own);
      const double nearest = LayerLoss(
          weight, Dequantized(RoundToGrid(GridRule::kAbsMax, 4, weight, Granularity::kGroup, 64), at::kCPU), own);
      EXPECT_LT(gptq, nearest) << "layer " << index << " " << ProjectionName(static_cast<Projection>(i));
      worst = std::max(worst, gptq / nearest);
    }
    for (at::Tensor& sample : hidden) sample = function.Run(*block, sample, Untouched);
  }
  std::cout << "largest loss of a layer, relative to round to nearest: " << worst << std::endl;
}

}  // namespace
}  // namespace uaqf::quantize
