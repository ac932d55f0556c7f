// How samples go through a block, whatever method they go for.
#include "worker/quantize/block_run.h"

#include <limits>
#include <utility>

#include "tests/worker/quantize/methods_fixture.h"
#include "worker/quantize/awq.h"
#include "worker/quantize/gptq.h"
#include "worker/quantize/smoothquant.h"

namespace uaqf::quantize {
namespace {

using ::testing::HasSubstr;

// Layers are replaced while the samples stand at their inputs.
TEST_F(BlockTest, GoingSiteBySiteGivesWhatRunningEachTimeGives) {
  const BlockRun run = Run();
  SequentialRun sequential(run);
  Block block = block_;
  for (const Site site : {Site::kQkv, Site::kOutput, Site::kMlp, Site::kDown}) {
    std::array<bool, kSites> wanted = {};
    wanted[static_cast<size_t>(site)] = true;
    EXPECT_TRUE(at::equal(sequential.Moments(site, block), run.Moments(block, wanted)[static_cast<size_t>(site)]));
    for (size_t i = 0; i < kProjections; ++i) {
      if (SiteOf(static_cast<Projection>(i)) == site) block.layers[i].weight = block.layers[i].weight * 0.9;
    }
  }
  const std::vector<at::Tensor> outputs = sequential.Finish(block);
  ASSERT_EQ(outputs.size(), samples_.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_TRUE(at::equal(outputs[i], function_->Run(block, samples_[i], Untouched)));
  }
}

TEST_F(BlockTest, SamplesTogetherDoNotSeeEachOther) {
  const at::Tensor together = function_->Run(block_, at::cat(samples_, 0), Untouched);
  for (size_t i = 0; i < samples_.size(); ++i) {
    const at::Tensor alone = function_->Run(block_, samples_[i], Untouched);
    const auto begin = static_cast<int64_t>(i) * 24;
    EXPECT_LT((together.slice(0, begin, begin + 24) - alone).abs().max().item<float>(), 1e-4F);
  }
}

TEST_F(BlockTest, ActivationsThatAreNotFiniteNameTheLayer) {
  samples_[1][3][7] = std::numeric_limits<float>::infinity();
  const std::pair<const char*, decltype(&QuantizeGptq)> methods[] = {
      {"smoothquant-o1", QuantizeSmoothQuant}, {"awq-w4-g64", QuantizeAwq}, {"gptq-w4-g64", QuantizeGptq}};
  for (const auto& [name, method] : methods) {
    BlockRun run = Run();
    const absl::Status status = method(FindVariant(name).value(), run).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("layer 0 ")) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("not finite")) << name;
  }
}

}  // namespace
}  // namespace uaqf::quantize
