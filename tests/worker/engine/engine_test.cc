#include "worker/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/fp16.h"
#include "tests/support/test_data.h"
#include "tests/worker/engine/engine_test_support.h"
#include "tests/worker/engine/float64_reference.h"
#include "tests/worker/model/model_files.h"

namespace uaqf::engine {
namespace {

using test::Float64Reference;
using test::MakeEngine;
using test::RandomCheckpoint;
using test::RandomIds;
using test::RelativeError;
using test::TinyConfig;
using ::testing::HasSubstr;

// A GPU's prefill has FP16 activations.
const double kTolerance = test::OnGpu() ? 5e-3 : 1e-3;

// Prefill of the whole, and prefill of a third with decoding of the rest, against the reference.
void ExpectForwardEqualsReference(const model::Checkpoint& checkpoint, const std::vector<int32_t>& ids) {
  const std::vector<double> expected = Float64Reference(checkpoint).Logits(ids).back();
  const auto engine = MakeEngine(checkpoint, "fp16");
  ASSERT_NE(engine, nullptr);
  ASSERT_TRUE(engine->Prefill(ids).ok());
  EXPECT_LT(RelativeError(engine->logits(), expected), kTolerance) << "prefill";
  const size_t third = ids.size() / 3;
  ASSERT_TRUE(engine->Prefill(std::span(ids).first(third)).ok());
  for (size_t i = third; i < ids.size(); ++i) ASSERT_TRUE(engine->Decode(ids[i]).ok());
  EXPECT_LT(RelativeError(engine->logits(), expected), kTolerance) << "decode";
  EXPECT_EQ(engine->position(), static_cast<int64_t>(ids.size()));
}

TEST(Engine, ComputesALlama) {
  ExpectForwardEqualsReference(*RandomCheckpoint(TinyConfig(), 3), RandomIds(60, 128, 4));
}

// Some positions have small logits only, which widens the relative error.
TEST(Engine, ReadsTheLogitsOfEveryPosition) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const std::vector<int32_t> ids = RandomIds(120, 128, 4);
  const auto expected = Float64Reference(*checkpoint).Logits(ids);
  const auto engine = MakeEngine(*checkpoint, "fp16");
  ASSERT_NE(engine, nullptr);
  ASSERT_TRUE(engine->Prefill(std::span(ids).first(7)).ok());  // what is in the cache does not matter
  auto reader = engine->ReadLogits(ids);
  ASSERT_TRUE(reader.ok()) << reader.status();
  for (size_t position = 0; position + 1 < ids.size(); ++position) {
    const auto logits = (*reader)->Next();
    ASSERT_TRUE(logits.ok()) << logits.status();
    EXPECT_LT(RelativeError(*logits, expected[position]), 5 * kTolerance) << position;
  }
  EXPECT_EQ((*reader)->Next().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ((*reader)->Next().status().code(), absl::StatusCode::kOutOfRange);
  reader->reset();
  EXPECT_EQ(engine->position(), 0);
  EXPECT_EQ(engine->ReadLogits(std::span(ids).first(1)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Engine, ComputesTiedEmbeddings) {
  model::ModelConfig config = TinyConfig();
  config.tied_embeddings = true;
  ExpectForwardEqualsReference(*RandomCheckpoint(config, 3), RandomIds(60, 128, 4));
}

TEST(Engine, ComputesMistralsSlidingWindow) {
  model::ModelConfig config = TinyConfig();
  config.architecture = "mistral";
  config.sliding_window = 16;
  ExpectForwardEqualsReference(*RandomCheckpoint(config, 3), RandomIds(60, 128, 4));
}

TEST(Engine, ComputesQwen2sBiases) {
  model::ModelConfig config = TinyConfig();
  config.architecture = "qwen2";
  config.qkv_bias = true;
  ExpectForwardEqualsReference(*RandomCheckpoint(config, 3), RandomIds(60, 128, 4));
}

// head_dim need not be hidden / heads, and widths need not be multiples of any vector.
TEST(Engine, ComputesOddShapes) {
  if (test::OnGpu()) GTEST_SKIP() << "the GPU's kernels want multiples of 8 and heads of multiples of 16";
  model::ModelConfig config = TinyConfig();
  config.hidden = 56;
  config.heads = 3;
  config.kv_heads = 1;
  config.head_dim = 10;
  config.ff = 44;
  config.vocab = 101;
  ExpectForwardEqualsReference(*RandomCheckpoint(config, 3), RandomIds(60, 101, 4));
}

TEST(Engine, ComputesRopeScaling) {
  for (
      const char* scaling :
      {R"({"rope_type":"linear","factor":3.0})",
       R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":40})"}) {
    nlohmann::json config = test::HuggingFaceJson(TinyConfig());
    config["rope_scaling"] = nlohmann::json::parse(scaling);
    ExpectForwardEqualsReference(*RandomCheckpoint(TinyConfig(), 3, config.dump()), RandomIds(60, 128, 4));
  }
}

// An own formulation of METHODS.md 3.1. In FP32, as the definition is: weights that lie half-way between two codes are
// common here, and double would break ties otherwise.
std::vector<float> RoundedToNearest(const test::Tensor& tensor, const quantize::Variant& variant) {
  const auto columns = static_cast<size_t>(tensor.shape[1]);
  const size_t shared = variant.granularity == quantize::Granularity::kTensor    ? tensor.values.size()
                        : variant.granularity == quantize::Granularity::kChannel ? columns
                                                                                 : size_t(variant.group_size);
  const float steps = variant.weight_bits == 8 ? 127.0F : 7.0F;
  std::vector<float> result = tensor.values;
  for (size_t begin = 0; begin < result.size(); begin += shared) {
    const auto part = std::span(result).subspan(begin, shared);
    float most = 1e-5F;
    for (const float value : part) most = std::max(most, std::abs(value));
    float scale = most / steps;
    if (variant.group_size > 0) scale = kernels::Fp16ToFloat(kernels::FloatToFp16(scale));
    for (float& value : part) value = std::nearbyint(value / scale) * scale;
  }
  return result;
}

TEST(Engine, EveryVariantComputesWithItsOwnWeightsAndActivations) {
  model::ModelConfig config = TinyConfig();
  config.ff = 128;  // so that groups of 64 and 32 fit
  const auto checkpoint = RandomCheckpoint(config, 3);
  const std::vector<int32_t> ids = RandomIds(40, 128, 4);
  for (const quantize::Variant& variant : quantize::Variants()) {
    if (variant.method != quantize::Method::kRtn || variant.group_size == 128) continue;
    Float64Reference reference(*checkpoint);
    for (const test::Tensor& tensor : test::RandomWeights(config, 3)) {
      if (tensor.name.find("_proj.weight") == std::string::npos) continue;
      reference.Replace(tensor.name, RoundedToNearest(tensor, variant));
    }
    reference.RoundCache();
    if (variant.activation_bits == 8) reference.QuantizeActivations();
    const std::vector<double> expected = reference.Logits(ids).back();
    const auto engine = MakeEngine(*checkpoint, std::string(variant.name));
    ASSERT_NE(engine, nullptr);
    // An activation that lies within a rounding error of half a step becomes the other code: one step in 127.
    const double tolerance = variant.activation_bits == 8 ? 5e-3 * (test::OnGpu() ? 10 : 1)
                             : test::OnGpu()              ? 5e-3
                                                          : 2e-4;
    ASSERT_TRUE(engine->Prefill(ids).ok());
    EXPECT_LT(RelativeError(engine->logits(), expected), tolerance) << variant.name << " prefill";
    ASSERT_TRUE(engine->Prefill(std::span(ids).first(5)).ok());
    for (size_t i = 5; i < ids.size(); ++i) ASSERT_TRUE(engine->Decode(ids[i]).ok());
    EXPECT_LT(RelativeError(engine->logits(), expected), tolerance) << variant.name << " decode";
  }
}

// A prompt longer than what goes through a layer at a time (512).
TEST(Engine, ComputesPromptsAndWindowsInParts) {
  model::ModelConfig config = TinyConfig();
  config.context = 1200;
  const auto checkpoint = RandomCheckpoint(config, 3);
  const std::vector<int32_t> ids = RandomIds(1100, 128, 4);
  const Float64Reference reference(*checkpoint);
  const auto engine = MakeEngine(*checkpoint, "fp16");
  ASSERT_TRUE(engine->Prefill(ids).ok());
  EXPECT_LT(RelativeError(engine->logits(), reference.Logits(ids).back()), kTolerance);
  const absl::StatusOr<std::vector<double>> nll = engine->Score(ids);
  ASSERT_TRUE(nll.ok());
  const std::vector<double> expected = reference.Nll(ids);
  ASSERT_EQ(nll->size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR((*nll)[i], expected[i], 2e-2) << i;
}

TEST(Engine, ThreadsAndRunsDoNotChangeOneBit) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const std::vector<int32_t> prompt = RandomIds(20, 128, 4);
  for (const char* variant : {"fp16", "rtn-w8", "rtn-w4-channel", "rtn-w4-g32", "rtn-w8a8", "rtn-w4a8"}) {
    std::vector<int32_t> ids;
    std::vector<float> logits;
    std::vector<double> nll;
    for (const int threads : {1, 2, 1}) {
      const auto engine = MakeEngine(*checkpoint, variant, {.threads = threads});
      ASSERT_NE(engine, nullptr);
      EXPECT_EQ(engine->threads(), test::OnGpu() ? 0 : threads);
      for (int run = 0; run < 2; ++run) {
        const std::vector<int32_t> now = test::Generate(*engine, prompt, 80);
        const std::vector<float> last(engine->logits().begin(), engine->logits().end());
        const std::vector<double> scored = engine->Score(now).value();
        if (ids.empty()) {
          ids = now;
          logits = last;
          nll = scored;
        }
        EXPECT_EQ(now, ids) << variant;
        EXPECT_EQ(last, logits) << variant;
        EXPECT_EQ(scored, nll) << variant;
      }
    }
  }
}

TEST(Engine, KeepAwakeChangesNothing) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const auto engine = MakeEngine(*checkpoint, "fp16", {.threads = 2});
  const std::vector<int32_t> prompt = RandomIds(20, 128, 4);
  const int32_t asleep = engine->Prefill(prompt).value();
  const auto awake = engine->KeepAwake();
  EXPECT_EQ(engine->Prefill(prompt).value(), asleep);
}

TEST(Engine, SaysWhatIsWrongWithATokenSequence) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const auto engine = MakeEngine(*checkpoint, "fp16", {.max_sequence_tokens = 10});
  const auto expect = [](const absl::Status& status, absl::StatusCode code, const char* text) {
    EXPECT_EQ(status.code(), code);
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  expect(engine->Decode(1).status(), absl::StatusCode::kFailedPrecondition, "Prefill first");
  expect(engine->Prefill({}).status(), invalid, "a prompt of 0 tokens, expected at least 1");
  expect(engine->Prefill(RandomIds(11, 128, 1)).status(), invalid,
         "a prompt of 11 tokens, expected at most 10 (the model's context is 128)");
  expect(engine->Prefill(std::vector<int32_t>{3, 128}).status(), invalid, "token id 128, expected 0 to 127");
  expect(engine->Prefill(std::vector<int32_t>{-1}).status(), invalid, "token id -1");
  expect(engine->Score(std::vector<int32_t>{1}).status(), invalid, "a window of 1 tokens, expected at least 2");
  expect(engine->Score(RandomIds(11, 128, 1)).status(), invalid, "expected at most 10");
  ASSERT_TRUE(engine->Prefill(RandomIds(9, 128, 1)).ok());
  expect(engine->Decode(500).status(), invalid, "token id 500");
  ASSERT_TRUE(engine->Decode(1).ok());
  expect(engine->Decode(1).status(), absl::StatusCode::kOutOfRange, "reached its 10 tokens");
  engine->Reset();
  expect(engine->Decode(1).status(), absl::StatusCode::kFailedPrecondition, "Prefill first");
}

TEST(Engine, RefusesOptionsAndVariantsThatDoNotFit) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const auto refused = [&](const char* variant, EngineOptions options) {
    options.device = test::TestDevice();
    const auto engine = Engine::Create(*checkpoint, quantize::FindVariant(variant).value(), options);
    EXPECT_FALSE(engine.ok());
    return engine.ok() ? "" : std::string(engine.status().message());
  };
  if (!test::OnGpu()) {
    EXPECT_THAT(refused("fp16", {.threads = 100000}), HasSubstr("got 100000 threads"));
    EXPECT_THAT(refused("fp16", {.threads = -1}), HasSubstr("got -1 threads"));
    EXPECT_FALSE(refused("fp16", {.cpu_set = {100000}}).empty());
  }
  EXPECT_THAT(refused("fp16", {.max_sequence_tokens = 129}), HasSubstr("expected 1 to 128"));
  EXPECT_THAT(refused("fp16", {.max_sequence_tokens = -1}), HasSubstr("expected 1 to 128"));
  EXPECT_THAT(refused("rtn-w4-g128", {}), HasSubstr("group size 128 does not divide input dimension 64"));
}

TEST(Engine, RefusesWeightsThatFp16CannotHold) {
  std::vector<test::Tensor> tensors = test::RandomWeights(TinyConfig(), 3);
  for (const float bad : {70000.0F, std::numeric_limits<float>::quiet_NaN()}) {
    tensors.back().values[5] = bad;
    const std::string folder = test::ScratchFolder();
    test::WriteHuggingFace(folder, test::HuggingFaceJson(TinyConfig()), tensors);
    const auto checkpoint = model::Checkpoint::Open(folder);
    ASSERT_TRUE(checkpoint.ok());
    const auto engine =
        Engine::Create(**checkpoint, quantize::FindVariant("fp16").value(), {.device = test::TestDevice()});
    ASSERT_FALSE(engine.ok());
    EXPECT_THAT(std::string(engine.status().message()), HasSubstr("model.layers.1.mlp.down_proj.weight"));
  }
}

TEST(Engine, MemoryShrinksWithTheVariant) {
  model::ModelConfig config = TinyConfig();
  config.hidden = 256;
  config.head_dim = 64;
  config.ff = 512;
  const auto checkpoint = RandomCheckpoint(config, 3);
  const auto memory = [&](const char* variant) { return MakeEngine(*checkpoint, variant)->memory(); };
  const EngineMemory fp16 = memory("fp16");
  const int64_t parameters = 2 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512);
  EXPECT_EQ(fp16.block_weights_bytes, 2 * parameters);
  EXPECT_EQ(fp16.kv_cache_bytes, 2 * 2 * 2 * 128 * 64 * 2);
  const auto ratio = [&](const char* variant) {
    return static_cast<double>(memory(variant).block_weights_bytes) / static_cast<double>(fp16.block_weights_bytes);
  };
  EXPECT_LT(ratio("rtn-w8"), 0.52);
  for (const char* variant : {"rtn-w4", "rtn-w4-channel", "rtn-w4-g128", "rtn-w4-g64", "rtn-w4-g32", "rtn-w4a8"}) {
    EXPECT_LT(ratio(variant), 0.32) << variant;
  }
  EXPECT_EQ(memory("rtn-w4").kv_cache_bytes, fp16.kv_cache_bytes);
}

// Keys and values of INT4, each row with an FP16 scale and zero.
TEST(Engine, AtomsCacheIsAQuarterOfFp16s) {
  if (const absl::Status can = Engine::CheckVariant(quantize::FindVariant("atom-w4a4-g64").value(), test::TestDevice());
      !can.ok()) {
    GTEST_SKIP() << can.message();
  }
  model::ModelConfig config = TinyConfig();
  config.hidden = 256;
  config.head_dim = 64;
  config.ff = 512;
  const auto checkpoint = RandomCheckpoint(config, 3);
  const auto engine = test::MakeAtomEngine(*checkpoint);
  ASSERT_NE(engine, nullptr);
  const int64_t one_position = 2 * 2 * 2 * (64 / 2 + 4);  // layers, keys and values, KV heads
  EXPECT_EQ(engine->memory().kv_cache_bytes, one_position * 128);
  EXPECT_EQ(engine->bytes_per_token(11) - engine->bytes_per_token(10), one_position);
}

TEST(Engine, BytesPerTokenAreWeightsOneEmbeddingRowAndTheCache) {
  model::ModelConfig config = TinyConfig();
  config.architecture = "mistral";
  config.sliding_window = 16;
  const auto checkpoint = RandomCheckpoint(config, 3);
  const auto engine = MakeEngine(*checkpoint, "fp16");
  const int64_t one_position = 2 * 2 * 2 * 16 * 2;  // layers, keys and values, KV heads, head_dim, bytes
  EXPECT_EQ(engine->bytes_per_token(11) - engine->bytes_per_token(10), one_position);
  EXPECT_EQ(engine->bytes_per_token(100), engine->bytes_per_token(16));
  EXPECT_EQ(engine->bytes_per_token(0), engine->memory().weights_bytes - 2 * 128 * 64 + 2 * 64);
}

}  // namespace
}  // namespace uaqf::engine
