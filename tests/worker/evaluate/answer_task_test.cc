// Items of a task set, answered by a model that says what it is told.
#include "worker/evaluate/answer_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

namespace uaqf::evaluate {
namespace {

using measure::Prompt;
using measure::Task;
using measure::TaskCheck;
using measure::TaskKind;
using measure::TaskMetric;
using testing::ElementsAre;
using testing::HasSubstr;

// Says words, one a token.
class Speaker final : public measure::TextModel {
 public:
  explicit Speaker(std::vector<std::string> words) : words_(std::move(words)) {}
  absl::StatusOr<std::vector<int32_t>> Encode(const Prompt& prompt, bool chat) override {
    std::vector<int32_t> ids(prompt.text.size() / 8 + 1, 1);
    if (chat) ids.push_back(2);
    return ids;
  }
  absl::StatusOr<int32_t> Prefill(const std::vector<int32_t>&) override { return said_ = 0; }
  absl::StatusOr<int32_t> Decode(int32_t) override { return ++said_; }
  absl::StatusOr<std::string> Detokenize(const std::vector<int32_t>& ids) override {
    std::string text;
    for (const int32_t id : ids) text += words_[static_cast<size_t>(id)];
    return text;
  }
  bool IsEnd(int32_t token) const override { return token >= static_cast<int32_t>(words_.size()); }
  int32_t max_sequence_tokens() const override { return 64; }

 private:
  const std::vector<std::string> words_;
  int32_t said_ = 0;
};

Prompt Item(TaskKind kind, std::vector<std::string> answers, std::vector<std::string> stops = {}) {
  Prompt prompt{"q1", "Question?\nAnswer:", {}};
  prompt.task = Task{};
  prompt.task->kind = kind;
  prompt.task->answers = std::move(answers);
  prompt.task->stops = std::move(stops);
  prompt.task->max_output_tokens = 16;
  return prompt;
}

TEST(AnswerTask, ScoresTheTextBeforeTheStop) {
  Speaker model({" So 3", " + 4", ".\n####", " 7", "\n", "\nQuest", "ion:", " more"});
  const auto result = AnswerByGeneration(model, Item(TaskKind::kNumeric, {"7"}, {"Question:"}), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->answer, " So 3 + 4.\n#### 7\n\n");
  EXPECT_TRUE(result->stopped);
  EXPECT_EQ(result->output_tokens, 7);
  EXPECT_EQ(result->output_digest.size(), 32u);
  EXPECT_THAT(result->checks,
              ElementsAre(TaskCheck{TaskMetric::kNumericStrict, 1, 1}, TaskCheck{TaskMetric::kNumericFlexible, 1, 1}));
}

TEST(AnswerTask, EndsAtAnEndTokenOrAtTheLimit) {
  Speaker brief({" Paris"});
  const auto ended = AnswerByGeneration(brief, Item(TaskKind::kShortAnswer, {"Paris", "City of Light"}, {"\n"}), {});
  ASSERT_TRUE(ended.ok());
  EXPECT_TRUE(ended->stopped);
  EXPECT_THAT(ended->checks,
              ElementsAre(TaskCheck{TaskMetric::kShortOfficial, 1, 1}, TaskCheck{TaskMetric::kShortLmEval, 1, 1}));
  Speaker endless(std::vector<std::string>(40, " on and"));
  const auto cut = AnswerByGeneration(endless, Item(TaskKind::kShortAnswer, {"Paris"}), {});
  ASSERT_TRUE(cut.ok());
  EXPECT_FALSE(cut->stopped);
  EXPECT_EQ(cut->output_tokens, 16);
}

TEST(AnswerTask, CountsInstructionsOneByOne) {
  Speaker model({"no", " commas", " here"});
  Prompt item = Item(TaskKind::kInstructions, {});
  item.task->instructions = {
      {"punctuation:no_comma", {}},
      {"length_constraints:number_words", {{"relation", std::string("at least")}, {"num_words", int64_t{10}}}}};
  const auto result = AnswerByGeneration(model, item, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(
      result->checks,
      ElementsAre(TaskCheck{TaskMetric::kPromptStrict, 0, 1}, TaskCheck{TaskMetric::kPromptLoose, 0, 1},
                  TaskCheck{TaskMetric::kInstructionStrict, 1, 2}, TaskCheck{TaskMetric::kInstructionLoose, 1, 2}));
}

TEST(AnswerTask, ChecksTheFormOfAnOpenAnswer) {
  Speaker model({"A", " fine", " answer."});
  Prompt item = Item(TaskKind::kOpen, {});
  item.task->asked = "Say something that is fine.";
  const auto result = AnswerByGeneration(model, item, {});
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->checks.size(), 5u);
  for (const TaskCheck& check : result->checks) EXPECT_EQ(check.passed, 1) << static_cast<int>(check.metric);
}

TEST(AnswerTask, KeepsWholeCharactersOfALongAnswer) {
  std::string e_acute;
  for (int i = 0; i < 3000; ++i) e_acute += "é";
  Speaker model({e_acute, e_acute, "x", e_acute});
  const auto result = AnswerByGeneration(model, Item(TaskKind::kNumeric, {"7"}), {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->answer.size(), kMostAnswerBytes - 1);
}

TEST(AnswerTask, TakesTheLikeliestChoice) {
  Speaker model({});
  Prompt item = Item(TaskKind::kChoice, {"B"});
  item.task->labels = {"A", "B", "C"};
  item.text = std::string(7, 'x');
  // The continued prompt is one token longer; the first choice is asked first.
  int asked = 0;
  const auto score = [&asked](std::span<const int32_t> window) -> absl::StatusOr<std::vector<double>> {
    EXPECT_EQ(window.size(), 2u);
    return std::vector<double>{std::vector<double>{3.0, 0.5, 4.0}[static_cast<size_t>(asked++)]};
  };
  const auto result = AnswerByLikelihood(model, item, score);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->answer, "B");
  EXPECT_THAT(result->choice_log_likelihoods, ElementsAre(-3.0, -0.5, -4.0));
  EXPECT_THAT(result->checks, ElementsAre(TaskCheck{TaskMetric::kChoice, 1, 1}));
}

TEST(AnswerTask, SaysWhatIsWrongWithAnItem) {
  Speaker model({"x"});
  const Prompt plain{"p9", "text", {}};
  EXPECT_THAT(std::string(AnswerByGeneration(model, plain, {}).status().message()), HasSubstr("p9 has no task"));
  EXPECT_THAT(std::string(AnswerByGeneration(model, Item(TaskKind::kNumeric, {}), {}).status().message()),
              HasSubstr("q1: no answer to compare with"));
  Prompt rhyme = Item(TaskKind::kInstructions, {});
  rhyme.task->instructions = {{"keywords:rhyme", {}}};
  EXPECT_THAT(std::string(TaskTokens(model, rhyme, false).status().message()), HasSubstr("keywords:rhyme"));
}

// Shots make a prompt long; the KV cache has 64 places.
TEST(AnswerTask, SaysThatShotsDoNotFitTheContext) {
  Speaker model({"x"});
  Prompt item = Item(TaskKind::kNumeric, {"7"});
  item.text = std::string(8 * 60, 'x');
  for (const std::string& message : {std::string(TaskTokens(model, item, false).status().message()),
                                     std::string(AnswerByGeneration(model, item, {}).status().message())}) {
    EXPECT_THAT(message, testing::AllOf(HasSubstr("61 tokens with its shots and 16 out, expected at most 64"),
                                        HasSubstr("fewer --shots")));
  }
  item.text = "short";
  EXPECT_EQ(*TaskTokens(model, item, false), 17);
}

TEST(AnswerTask, StopsBetweenTokensWhenItIsCancelled) {
  Speaker model(std::vector<std::string>(40, "x"));
  const std::atomic<bool> cancelled = true;
  measure::GenerationRequest request;
  request.cancelled = &cancelled;
  EXPECT_EQ(AnswerByGeneration(model, Item(TaskKind::kNumeric, {"7"}), request).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace uaqf::evaluate
