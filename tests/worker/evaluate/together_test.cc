// Prompts generated together by the engine, on a model of random weights.
#include "worker/evaluate/together.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "tests/support/test_data.h"
#include "worker/evaluate/engine_evaluator.h"
#include "worker/measure/clock.h"

namespace uaqf::evaluate {
namespace {

using testing::HasSubstr;

constexpr int32_t kTokens = 12;

class TogetherTest : public testing::Test {
 protected:
  void Host(const std::string& variant, int32_t max_batch) {
    measure::HostRequest request{"synthetic:tiny", variant, 64};
    request.max_batch = max_batch;
    const absl::Status hosted = evaluator_.Load(request);
    ASSERT_TRUE(hosted.ok()) << hosted;
  }

  // The first `count` of the prompts.
  absl::StatusOr<std::vector<measure::GreedyOutput>> Generate(size_t count, int32_t tokens = kTokens) {
    std::vector<measure::BatchPrompt> prompts;
    for (size_t i = 0; i < count; ++i) prompts.push_back({&prompts_[i], 0});
    measure::GenerationRequest request;
    request.max_output_tokens = tokens;
    request.cancelled = &cancelled_;
    return evaluator_.GenerateTogether(prompts, request);
  }

  std::atomic<bool> cancelled_ = false;
  measure::SteadyClock clock_;
  EngineEvaluator evaluator_{{.models = test::ScratchFolder(), .threads = 1, .synthetic = true}, &clock_};
  const std::vector<measure::Prompt> prompts_ = {
      {"a", "Once", {}}, {"b", "Once upon a time", {}}, {"c", "The", {}}, {"d", "A dog and", {}}, {"e", "x", {}}};
};

TEST_F(TogetherTest, GivesWhatATimedGenerationGives) {
  Host("rtn-w8-channel", 1);
  const auto outputs = Generate(1);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  const auto timed = evaluator_.Generate(prompts_[0], {.max_output_tokens = kTokens});
  ASSERT_TRUE(timed.ok());
  const measure::GreedyOutput& output = (*outputs)[0];
  EXPECT_EQ(output.input_tokens, timed->input_tokens);
  EXPECT_EQ(static_cast<int32_t>(output.ids.size()) - (output.stopped ? 1 : 0), timed->output_tokens);
  EXPECT_EQ(output.not_finite_tokens, 0);
}

// On a processor up to four sequences are computed as one is, to the last bit.
TEST_F(TogetherTest, GivesEachOfAFewPromptsWhatItGivesAlone) {
  Host("fp16", 4);
  EXPECT_EQ(evaluator_.max_batch(), 4);
  const auto together = Generate(4);
  ASSERT_TRUE(together.ok()) << together.status();
  ASSERT_EQ(together->size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    std::vector<measure::BatchPrompt> alone = {{&prompts_[i], 0}};
    const auto output = evaluator_.GenerateTogether(alone, {.max_output_tokens = kTokens});
    ASSERT_TRUE(output.ok());
    EXPECT_EQ((*output)[0].ids, (*together)[i].ids) << prompts_[i].id;
  }
}

TEST_F(TogetherTest, EndsAtTheLimitAndNotLater) {
  Host("fp16", 5);
  const auto outputs = Generate(5, 3);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  for (const measure::GreedyOutput& output : *outputs) {
    EXPECT_LE(output.ids.size(), 3u);
    EXPECT_TRUE(output.stopped || output.ids.size() == 3u);
  }
}

TEST_F(TogetherTest, RefusesWhatDoesNotFit) {
  Host("fp16", 2);
  EXPECT_THAT(std::string(Generate(1, 64).status().message()), HasSubstr("expected at most 64 together"));
  EXPECT_EQ(Generate(3).status().code(), absl::StatusCode::kInvalidArgument) << "more than it was hosted for";
}

TEST_F(TogetherTest, EndsWhenItIsCancelled) {
  Host("fp16", 1);
  cancelled_ = true;
  EXPECT_EQ(Generate(1).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace uaqf::evaluate
