// The blocks that calibration runs are the engine's.
#include "worker/quantize/block.h"

#include <gtest/gtest.h>

#include "tests/worker/model/model_files.h"
#include "worker/engine/engine.h"
#include "worker/model/synthetic.h"

namespace uaqf::quantize {
namespace {

std::vector<float> Logits(const model::Checkpoint& checkpoint, const std::vector<int32_t>& ids) {
  const model::ModelConfig& config = checkpoint.config();
  const BlockFunction function(config, static_cast<int64_t>(ids.size()) + 5, at::kCPU);
  at::Tensor hidden = *Embed(checkpoint, ids, at::kCPU);
  for (int64_t index = 0; index < config.layers; ++index) {
    hidden = function.Run(*LoadBlock(checkpoint, index, at::kCPU), hidden, Untouched);
  }
  const auto read = [&](const char* name, int64_t rows) {
    at::Tensor values = at::empty({rows, config.hidden}, at::kFloat);
    EXPECT_TRUE(checkpoint
                    .ReadRows(name, 0, rows,
                              std::span(values.mutable_data_ptr<float>(), static_cast<size_t>(rows * config.hidden)))
                    .ok());
    return values;
  };
  const at::Tensor normed = function.Norm(read("model.norm.weight", 1).flatten(), hidden.slice(0, -1));
  const at::Tensor head = read("lm_head.weight", config.vocab).to(at::kHalf).to(at::kFloat);
  return ToFloats(at::matmul(normed, head.t()).flatten());
}

void ExpectEngineLogits(const model::Checkpoint& checkpoint) {
  std::vector<int32_t> ids;
  for (int i = 0; i < 40; ++i) ids.push_back((i * 37 + 5) % static_cast<int32_t>(checkpoint.config().vocab));
  auto engine = engine::Engine::Create(checkpoint, FindVariant("fp16").value(), {.threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.status();
  ASSERT_TRUE((*engine)->Prefill(ids).ok());
  const std::vector<float> got = Logits(checkpoint, ids);
  const std::span<const float> expected = (*engine)->logits();
  ASSERT_EQ(got.size(), expected.size());
  float largest = 0;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  // The engine's keys and values are FP16.
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 3e-3F * largest) << i;
}

TEST(BlockFunction, IsWhatTheEngineComputes) {
  model::ModelConfig config = test::TinyConfig();
  ExpectEngineLogits(*model::MakeSynthetic(config, 3));
  config.sliding_window = 12;
  ExpectEngineLogits(*model::MakeSynthetic(config, 3));
  config.rope.scaling = model::RopeScaling::kLinear;
  config.rope.factor = 4;
  ExpectEngineLogits(*model::MakeSynthetic(config, 4));
}

TEST(BlockFunction, UsesBiases) {
  model::ModelConfig config = test::TinyConfig();
  config.qkv_bias = true;
  config.architecture = "qwen2";
  ExpectEngineLogits(*model::MakeSynthetic(config, 6));
}

}  // namespace
}  // namespace uaqf::quantize
