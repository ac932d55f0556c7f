#include "worker/quantize/synthetic_blocks.h"

#include <gtest/gtest.h>

#include "worker/engine/engine.h"
#include "worker/model/synthetic.h"

namespace uaqf::quantize {
namespace {

TEST(SyntheticBlocks, AreValidInTheFormOfEveryCalibratedVariant) {
  const auto model = *model::OpenSynthetic("synthetic:tiny");
  std::vector<std::string> names = {"gptq-w4-g64:sym=0", "gptq-w4-g64:static-groups=0", "gptq-w8:sym=0",
                                    "atom-w4a4-g64:keepers=0"};
  for (const Variant& variant : Variants()) names.push_back(variant.name);
  for (const std::string& name : names) {
    const Variant variant = FindVariant(name).value();
    if (!NeedsCalibration(variant)) continue;
    SyntheticBlocks blocks(model->config(), variant);
    const absl::StatusOr<QuantizedBlock> block = blocks.Get(1);
    ASSERT_TRUE(block.ok()) << name << ": " << block.status();
    for (const QuantizedMatrix& matrix : block->matrices) {
      EXPECT_TRUE(CheckMatrix(matrix).ok()) << name << ": " << CheckMatrix(matrix);
    }
    EXPECT_EQ(blocks.Get(1)->matrices[3].codes, block->matrices[3].codes) << "the same bits each time";
    engine::EngineOptions options;
    options.threads = 1;
    options.max_sequence_tokens = 16;
    options.blocks = &blocks;
    const auto engine = engine::Engine::Create(*model, variant, options);
    ASSERT_TRUE(engine.ok()) << name << ": " << engine.status();
    const std::vector<int32_t> prompt = {1, 2, 3};
    EXPECT_TRUE((*engine)->Prefill(prompt).ok()) << name;
  }
}

}  // namespace
}  // namespace uaqf::quantize
