// Several sequences at once, on the device of the tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/worker/engine/engine_test_support.h"
#include "tests/worker/model/model_files.h"
#include "worker/quantize/synthetic_blocks.h"

namespace uaqf::engine {
namespace {

using test::MakeEngine;
using test::RandomCheckpoint;
using test::RandomIds;
using test::TinyConfig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Prompts = std::vector<std::vector<int32_t>>;

absl::StatusOr<std::vector<int32_t>> PrefillAll(Engine& engine, const Prompts& prompts) {
  return engine.PrefillBatch(std::vector<std::span<const int32_t>>(prompts.begin(), prompts.end()));
}

// Of different lengths, one of them a single token.
Prompts MixedPrompts(size_t count, uint64_t seed) {
  Prompts prompts;
  for (size_t i = 0; i < count; ++i) prompts.push_back(RandomIds(i == 1 ? 1 : 5 + i * 7 % 40, 128, seed + i));
  return prompts;
}

std::vector<float> LogitsOf(const Engine& engine, size_t sequence, size_t vocab = 128) {
  const auto logits = engine.logits().subspan(sequence * vocab, vocab);
  return {logits.begin(), logits.end()};
}

float Margin(std::vector<float> logits) {
  std::nth_element(logits.begin(), logits.begin() + 1, logits.end(), std::greater<>());
  return logits[0] - logits[1];
}

// What a batch says when it goes on with its own tokens: those of each step, and the logits of the last.
struct Said {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<float>> logits;
  bool operator==(const Said&) const = default;
};

Said Generate(Engine& engine, const Prompts& prompts, int steps) {
  Said said;
  auto next = PrefillAll(engine, prompts);
  for (int i = 0; i < steps && next.ok(); ++i) {
    said.tokens.push_back(*next);
    next = engine.DecodeBatch(said.tokens.back());
  }
  EXPECT_TRUE(next.ok()) << next.status();
  if (next.ok()) said.tokens.push_back(*next);
  for (size_t i = 0; i < prompts.size(); ++i) said.logits.push_back(LogitsOf(engine, i));
  return said;
}

double ToleranceOf(const quantize::Variant& variant) {
  // An activation that lies within a rounding error of half a step becomes the other code.
  if (variant.activation_bits == 8) return test::OnGpu() ? 5e-2 : 5e-3;
  return test::OnGpu() ? 1e-2 : 2e-4;
}

// Each sequence against one engine that has it alone, fed the same tokens: every logit, and the choice where it is not
// a near tie.
void ExpectEqualsAlone(const model::Checkpoint& checkpoint, const quantize::Variant& variant, size_t sequences) {
  constexpr int kSteps = 20;
  const auto engine = MakeEngine(checkpoint, variant.name, {.max_batch = static_cast<int64_t>(sequences)});
  const auto alone = MakeEngine(checkpoint, variant.name);
  ASSERT_NE(engine, nullptr);
  const Prompts prompts = MixedPrompts(sequences, 11);
  const Said said = Generate(*engine, prompts, kSteps);
  ASSERT_THAT(said.tokens, SizeIs(kSteps + 1));
  const double tolerance = ToleranceOf(variant);
  for (size_t i = 0; i < sequences; ++i) {
    auto next = alone->Prefill(prompts[i]);
    for (size_t step = 0; step <= kSteps; ++step) {
      ASSERT_TRUE(next.ok()) << next.status();
      const std::vector<float> logits = LogitsOf(*alone, 0);
      const double most = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
      if (static_cast<double>(Margin(logits)) > 2 * tolerance * std::abs(most)) {
        EXPECT_EQ(said.tokens[step][i], *next) << variant.name << " sequence " << i << " step " << step;
      }
      if (step < kSteps) next = alone->Decode(said.tokens[step][i]);
    }
    const std::vector<float> logits = LogitsOf(*alone, 0);
    EXPECT_LT(test::RelativeError(said.logits[i], std::vector<double>(logits.begin(), logits.end())), tolerance)
        << variant.name << " sequence " << i << " of " << sequences;
  }
}

TEST(Batch, SaysWhatEachSequenceSaysAloneInEveryVariant) {
  model::ModelConfig config = TinyConfig();
  config.ff = 128;  // so that groups of 64 and 32 fit
  const auto checkpoint = RandomCheckpoint(config, 3);
  for (const quantize::Variant& variant : quantize::Variants()) {
    if (variant.method != quantize::Method::kRtn || variant.group_size == 128) continue;
    for (const size_t sequences : {3, 6}) ExpectEqualsAlone(*checkpoint, variant, sequences);
  }
}

TEST(Batch, TakesUpToItsLargestSize) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  for (const size_t sequences : {2, 8, 9, 17, 32}) {
    ExpectEqualsAlone(*checkpoint, quantize::FindVariant("rtn-w4-g32").value(), sequences);
  }
}

TEST(Batch, ComputesWindowsBiasesAndTiedEmbeddings) {
  model::ModelConfig config = TinyConfig();
  config.architecture = "mistral";
  config.sliding_window = 16;
  ExpectEqualsAlone(*RandomCheckpoint(config, 3), quantize::FindVariant("fp16").value(), 5);
  config = TinyConfig();
  config.architecture = "qwen2";
  config.qkv_bias = true;
  config.tied_embeddings = true;
  ExpectEqualsAlone(*RandomCheckpoint(config, 3), quantize::FindVariant("fp16").value(), 5);
}

TEST(Batch, SaysTheSameBitForBitAgainOnAnotherEngineAndOtherThreads) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const Prompts prompts = MixedPrompts(5, 2);
  for (const char* variant : {"fp16", "rtn-w8a8", "rtn-w4-g32"}) {
    Said first;
    for (const int threads : {1, 2}) {
      const auto engine = MakeEngine(*checkpoint, variant, {.threads = threads, .max_batch = 5});
      ASSERT_NE(engine, nullptr);
      for (int run = 0; run < 2; ++run) {
        const Said said = Generate(*engine, prompts, 30);
        if (first.tokens.empty()) first = said;
        EXPECT_EQ(said, first) << variant;
      }
    }
  }
}

// In smoothquant-o2 all tokens of a prompt share a scale; sequences do not.
TEST(Batch, ASequenceDoesNotSeeTheOthers) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  for (const char* variant : {"fp16", "rtn-w8a8", "rtn-w4-g32", "smoothquant-o2", "smoothquant-o3"}) {
    quantize::SyntheticBlocks blocks(checkpoint->config(), quantize::FindVariant(variant).value());
    const auto engine = MakeEngine(*checkpoint, variant, {.max_batch = 5, .blocks = &blocks});
    ASSERT_NE(engine, nullptr);
    Prompts prompts = MixedPrompts(5, 2);
    const Said said = Generate(*engine, prompts, 20);
    for (const size_t i : {0, 1, 3, 4}) prompts[i] = RandomIds(30 - 4 * i, 128, 77 + i);
    const Said beside_others = Generate(*engine, prompts, 20);
    for (size_t step = 0; step < said.tokens.size(); ++step) {
      EXPECT_EQ(said.tokens[step][2], beside_others.tokens[step][2]) << variant << " step " << step;
    }
    EXPECT_EQ(said.logits[2], beside_others.logits[2]) << variant;
  }
}

TEST(Batch, OfOneIsTheSequenceOfPrefillBitForBit) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const std::vector<int32_t> prompt = RandomIds(20, 128, 4);
  const auto engine = MakeEngine(*checkpoint, "fp16", {.max_batch = 3});
  const auto alone = MakeEngine(*checkpoint, "fp16");
  ASSERT_NE(engine, nullptr);
  const std::vector<int32_t> expected = test::Generate(*alone, prompt, 31);
  const Said said = Generate(*engine, {prompt}, 30);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_THAT(said.tokens[i], ElementsAre(expected[i])) << i;
  EXPECT_EQ(said.logits[0], LogitsOf(*alone, 0));
}

TEST(Batch, OnTheProcessorUpToFourAreEachAloneAndMoreAgreeBitForBit) {
  if (test::OnGpu()) GTEST_SKIP() << "promised of the processor only";
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const auto engine = MakeEngine(*checkpoint, "fp16", {.max_batch = 9});
  const Prompts prompts = MixedPrompts(9, 2);
  const auto of_first = [&](int64_t sequences) {
    return Generate(*engine, {prompts.begin(), prompts.begin() + sequences}, 20).logits[0];
  };
  const std::vector<float> alone = of_first(1);
  EXPECT_EQ(of_first(2), alone);
  EXPECT_EQ(of_first(4), alone);
  const std::vector<float> beside_four = of_first(5);
  EXPECT_EQ(of_first(6), beside_four);
  EXPECT_EQ(of_first(9), beside_four);
}

TEST(Batch, AndTheSequenceOfPrefillTakeEachOthersPlace) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const auto engine = MakeEngine(*checkpoint, "fp16", {.max_batch = 2});
  ASSERT_NE(engine, nullptr);
  const std::vector<int32_t> prompt = RandomIds(20, 128, 4);
  const std::vector<int32_t> expected = test::Generate(*engine, prompt, 10);
  const Prompts prompts = {RandomIds(9, 128, 1), RandomIds(4, 128, 2)};
  const Said said = Generate(*engine, prompts, 5);
  EXPECT_THAT(engine->batch_positions(), ElementsAre(14, 9));
  EXPECT_EQ(engine->position(), 0);
  EXPECT_THAT(engine->logits(), SizeIs(2 * 128));
  EXPECT_EQ(engine->Decode(1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(test::Generate(*engine, prompt, 10), expected);
  EXPECT_THAT(engine->batch_positions(), IsEmpty());
  EXPECT_THAT(engine->logits(), SizeIs(128));
  EXPECT_EQ(engine->DecodeBatch(std::vector<int32_t>{1, 2}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Generate(*engine, prompts, 5), said);
  ASSERT_TRUE(engine->Score(prompt).ok());
  EXPECT_THAT(engine->batch_positions(), IsEmpty());
}

TEST(Batch, GoesOnWithTokensOfTheCaller) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const auto engine = MakeEngine(*checkpoint, "fp16", {.max_batch = 2});
  ASSERT_NE(engine, nullptr);
  const Prompts prompts = {RandomIds(9, 128, 1), RandomIds(4, 128, 2)};
  const std::vector<int32_t> forced = {RandomIds(2, 128, 9)};
  ASSERT_TRUE(PrefillAll(*engine, prompts).ok());
  ASSERT_TRUE(engine->DecodeBatch(forced).ok());
  ASSERT_TRUE(engine->DecodeBatch(forced).ok());
  const auto alone = MakeEngine(*checkpoint, "fp16");
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(alone->Prefill(prompts[i]).ok());
    ASSERT_TRUE(alone->Decode(forced[i]).ok());
    ASSERT_TRUE(alone->Decode(forced[i]).ok());
    const std::vector<float> expected = LogitsOf(*alone, 0);
    EXPECT_LT(test::RelativeError(LogitsOf(*engine, i), std::vector<double>(expected.begin(), expected.end())), 1e-2);
  }
}

TEST(Batch, SaysWhatIsWrong) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const auto engine = MakeEngine(*checkpoint, "fp16", {.max_sequence_tokens = 10, .max_batch = 2});
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->max_batch(), 2);
  const auto expect = [](const absl::Status& status, absl::StatusCode code, const char* text) {
    EXPECT_EQ(status.code(), code);
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  };
  const auto step = [&](std::vector<int32_t> tokens) { return engine->DecodeBatch(tokens).status(); };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  expect(step({1, 1}), absl::StatusCode::kFailedPrecondition, "PrefillBatch first");
  expect(PrefillAll(*engine, {}).status(), invalid, "a batch of 0 prompts, expected 1 to 2");
  expect(PrefillAll(*engine, {{1}, {2}, {3}}).status(), invalid, "a batch of 3 prompts, expected 1 to 2");
  expect(PrefillAll(*engine, {{1}, {}}).status(), invalid, "prompt 1: got a prompt of 0 tokens");
  expect(PrefillAll(*engine, {{1}, {2, 128}}).status(), invalid, "prompt 1: got token id 128");
  expect(PrefillAll(*engine, {RandomIds(11, 128, 1), {1}}).status(), invalid, "prompt 0: got a prompt of 11 tokens");
  ASSERT_TRUE(PrefillAll(*engine, {RandomIds(3, 128, 1), RandomIds(9, 128, 1)}).ok());
  expect(step({1}), invalid, "got 1 tokens, expected 2, one for each sequence");
  expect(step({1, -1}), invalid, "sequence 1: got token id -1");
  ASSERT_TRUE(step({1, 1}).ok());
  expect(step({1, 1}), absl::StatusCode::kOutOfRange, "sequence 1: the sequence has reached its 10 tokens");
  EXPECT_THAT(engine->batch_positions(), ElementsAre(4, 10));
  ASSERT_TRUE(PrefillAll(*engine, {RandomIds(3, 128, 1), RandomIds(10, 128, 1)}).ok());
  expect(step({1, 1}), absl::StatusCode::kOutOfRange, "sequence 1");
  engine->Reset();
  expect(step({1, 1}), absl::StatusCode::kFailedPrecondition, "PrefillBatch first");
}

TEST(Batch, RefusesSizesOutOfRange) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  for (const int64_t batch : {-1, 0, 33}) {
    const auto engine = Engine::Create(*checkpoint, quantize::FindVariant("fp16").value(),
                                       {.device = test::TestDevice(), .max_batch = batch});
    EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(engine.status().message()), HasSubstr("expected 1 to 32"));
  }
}

TEST(Batch, CountsTheCacheOfEachSequence) {
  const auto checkpoint = RandomCheckpoint(TinyConfig(), 3);
  const EngineMemory one = MakeEngine(*checkpoint, "fp16")->memory();
  const EngineMemory five = MakeEngine(*checkpoint, "fp16", {.max_batch = 5})->memory();
  EXPECT_EQ(five.kv_cache_bytes, 5 * one.kv_cache_bytes);
  EXPECT_EQ(five.weights_bytes, one.weights_bytes);
  EXPECT_GT(five.workspace_bytes, one.workspace_bytes);
}

TEST(Batch, AtomsQuantizedCachesAreForTheProcessor) {
  model::ModelConfig config = TinyConfig();
  config.hidden = 256;
  config.head_dim = 64;
  config.ff = 512;
  const auto checkpoint = RandomCheckpoint(config, 3);
  if (test::OnGpu()) GTEST_SKIP() << "see cuda_engine_test";
  const auto engine = test::MakeAtomEngine(*checkpoint, {.max_batch = 5});
  const auto alone = test::MakeAtomEngine(*checkpoint);
  ASSERT_NE(engine, nullptr);
  const Prompts prompts = MixedPrompts(5, 5);
  const Said said = Generate(*engine, prompts, 10);
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(alone->Prefill(prompts[i]).ok());
    for (size_t step = 0; step + 1 < said.tokens.size(); ++step) ASSERT_TRUE(alone->Decode(said.tokens[step][i]).ok());
    const std::vector<float> expected = LogitsOf(*alone, 0);
    // INT4 codes half-way between two become either.
    EXPECT_LT(test::RelativeError(said.logits[i], std::vector<double>(expected.begin(), expected.end())), 0.1) << i;
  }
}

}  // namespace
}  // namespace uaqf::engine
