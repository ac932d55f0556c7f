// The default model against what the `transformers` package computes from the same GGUF file in float32.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/support/test_data.h"
#include "worker/engine/engine.h"
#include "worker/evaluate/hosted_variant.h"
#include "worker/evaluate/open_model.h"

namespace uaqf::evaluate {
namespace {

// Below this distance between the two likeliest tokens, rounding decides.
constexpr double kDecided = 0.02;

class Smollm2 : public testing::Test {
 protected:
  void SetUp() override {
    UAQF_NEED_FILE(test::DefaultModel());
    oracle_ = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/data/smollm2_oracle.json")));
    auto model = OpenModel::Open(test::DefaultModel());
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    engine::EngineOptions options;
    options.max_sequence_tokens = 1024;
    auto engine = engine::Engine::Create(model_->checkpoint(), *quantize::FindVariant("fp16"), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  nlohmann::json oracle_;
  std::unique_ptr<OpenModel> model_;
  std::unique_ptr<engine::Engine> engine_;
};

TEST_F(Smollm2, ChoosesTheSameTokenAtEveryDecidedStep) {
  int compared = 0;
  for (const nlohmann::json& prompt : oracle_["prompts"]) {
    const std::string text = prompt["text"];
    const std::vector<int32_t> ids = prompt["prompt_ids"];
    // Some texts are rendered conversations.
    EXPECT_EQ(*model_->tokenizer().Encode(text, {.add_bos = true, .parse_special = true}), ids) << text;
    const std::vector<int32_t> expected = prompt["ids"];
    const std::vector<double> margins = prompt["margins"];
    // The oracle's tokens are fed, so that one undecided step does not end the comparison.
    auto next = engine_->Prefill(ids);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(next.ok()) << next.status();
      if (margins[i] >= kDecided) {
        EXPECT_EQ(*next, expected[i]) << text << ": step " << i << ", margin " << margins[i];
        ++compared;
      }
      next = engine_->Decode(expected[i]);
    }
  }
  EXPECT_GT(compared, 1200);
}

TEST_F(Smollm2, ScoresWindowsWithinAThousandth) {
  for (const nlohmann::json& window : oracle_["windows"]) {
    const std::vector<int32_t> ids = window["ids"];
    const auto nll = engine_->Score(ids);
    ASSERT_TRUE(nll.ok()) << nll.status();
    const double mean = std::accumulate(nll->begin(), nll->end(), 0.0) / static_cast<double>(nll->size());
    EXPECT_NEAR(mean, window["nll"].get<double>(), 1e-3);
  }
}

// The release's FP32 values against the same rounded to FP16, which is its baseline.
TEST_F(Smollm2, InItsOwnFormLosesNothingAgainstItsDequantizedWeights) {
  const auto variant = ResolveVariant(*model_, "checkpoint:" + model_->config().name, "");
  ASSERT_TRUE(variant.ok()) << variant.status();
  engine::EngineOptions options;
  options.max_sequence_tokens = 1024;
  const auto own = engine::Engine::Create(variant->weights(*model_), variant->variant, options);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_LT((*own)->memory().block_weights_bytes, 0.32 * engine_->memory().block_weights_bytes);
  const std::vector<int32_t> ids = oracle_["windows"][0]["ids"];
  const auto nll = (*own)->Score(ids);
  const auto fp16 = engine_->Score(ids);
  ASSERT_TRUE(nll.ok() && fp16.ok());
  const auto mean = [](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  EXPECT_NEAR(mean(*nll), mean(*fp16), 1e-3);
}

// Bit by bit, and with the rows of q and k, which the file has in another order.
TEST_F(Smollm2, HoldsInItsOwnFormTheVeryWeightsThatItDequantizesTo) {
  const model::Checkpoint& checkpoint = model_->checkpoint();
  for (const char* layer : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                            "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    const std::string name = std::string("model.layers.7.") + layer + ".weight";
    const model::TensorInfo info = checkpoint.Find(name).value();
    const auto stored = checkpoint.ReadStored(name, {3, info.rows - 3});
    ASSERT_TRUE(stored.ok()) << stored.status();
    std::vector<float> expected(static_cast<size_t>((info.rows - 3) * info.columns));
    ASSERT_TRUE(checkpoint.ReadRows(name, 3, info.rows - 3, expected).ok());
    std::vector<float> got(expected.size());
    model::Dequantize(*stored, got);
    EXPECT_EQ(got, expected) << name;
  }
}

}  // namespace
}  // namespace uaqf::evaluate
