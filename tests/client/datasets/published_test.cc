// The importers against the published files themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/datasets/import.h"
#include "tests/support/test_data.h"

namespace uaqf::client {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

InputFile Shared(const std::string& relative) {
  const std::string path = test::SharedData(relative);
  return {path, test::ReadFile(path)};
}

ImportedSet Import(const char* dataset, const std::string& relative, const ImportOptions& options = {}) {
  const auto set = ImportDataset(*FindDataset(dataset), Shared(relative), options);
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : ImportedSet{};
}

// Ids of three items drawn with seed 7: they change only with kImporterVersion.
std::vector<std::string> DrawnIds(const char* dataset, const std::string& relative) {
  ImportOptions options;
  options.sample = 3;
  options.seed = 7;
  std::vector<std::string> ids;
  for (const v1::Prompt& prompt : Import(dataset, relative, options).prompts) ids.push_back(prompt.id());
  return ids;
}

TEST(PublishedGsm8k, IsReadWhole) {
  UAQF_NEED_DATA("gsm8k/test.jsonl");
  const ImportedSet set = Import("gsm8k", "gsm8k/test.jsonl");
  ASSERT_EQ(set.prompts.size(), 1319u);
  const v1::Prompt& first = set.prompts[0];
  EXPECT_THAT(first.text(), StartsWith("Question: Janet’s ducks lay 16 eggs per day."));
  EXPECT_THAT(first.text(), EndsWith("farmers' market?\nAnswer:"));
  EXPECT_EQ(first.task().numeric().value(), "18");
  EXPECT_EQ(first.group(), v1::PROMPT_GROUP_MATH_ANALYTICAL);
  EXPECT_EQ(set.sources[0].file_sha256(), "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14");
  EXPECT_THAT(DrawnIds("gsm8k", "gsm8k/test.jsonl"),
              ElementsAre("gsm8k-51a0c0218a41f67b", "gsm8k-209c56e41c89e9ed", "gsm8k-57bb611b46a23c02"));
}

TEST(PublishedGsm8k, HasATrainingSplitForShots) {
  UAQF_NEED_DATA("gsm8k/train.jsonl");
  ImportOptions options;
  options.sample = 2;
  options.shots = 5;
  options.shots_file = Shared("gsm8k/train.jsonl");
  const ImportedSet set = Import("gsm8k", "gsm8k/test.jsonl", options);
  ASSERT_EQ(set.prompts.size(), 2u);
  std::size_t questions = 0;
  const std::string& text = set.prompts[0].text();
  for (std::size_t at = text.find("Question: "); at != std::string::npos; at = text.find("Question: ", at + 1)) {
    ++questions;
  }
  EXPECT_EQ(questions, 6u);
  EXPECT_EQ(set.sources[0].shots(), 5);
  EXPECT_EQ(set.sources[0].shots_sha256(), "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465");
}

TEST(PublishedCommonsenseQa, IsReadWhole) {
  UAQF_NEED_DATA("commonsense_qa/validation.jsonl");
  const ImportedSet set = Import("commonsense_qa", "commonsense_qa/validation.jsonl");
  ASSERT_EQ(set.prompts.size(), 1221u);
  const v1::Prompt& first = set.prompts[0];
  EXPECT_EQ(first.text(),
            "Question: A revolving door is convenient for two direction travel, but it also serves as a security "
            "measure at a what?\nA. bank\nB. library\nC. department store\nD. mall\nE. new york\nAnswer:");
  EXPECT_EQ(first.task().choice().label(), "A");
  EXPECT_EQ(first.task().choice().choices_size(), 5);
  int always_b = 0;
  for (const v1::Prompt& prompt : set.prompts) always_b += prompt.task().choice().label() == "B" ? 1 : 0;
  EXPECT_EQ(always_b, 255) << "the share of a constant answer is known";
  EXPECT_THAT(
      DrawnIds("commonsense_qa", "commonsense_qa/validation.jsonl"),
      ElementsAre("commonsense_qa-9d625e948e9c3777e7cc54ed8ffea135", "commonsense_qa-5799089c131e26473697afc54d5f6964",
                  "commonsense_qa-2c9f4a98ce774cd734b6e384d95051a7"));
}

TEST(PublishedTriviaQa, IsReadInAllThreeForms) {
  UAQF_NEED_DATA("triviaqa/official_sample.json");
  const ImportedSet official = Import("triviaqa", "triviaqa/official_sample.json");
  ASSERT_EQ(official.prompts.size(), 1u);
  EXPECT_EQ(official.prompts[0].id(), "triviaqa-tc_33");
  EXPECT_THAT(
      official.prompts[0].task().short_answer().answers(),
      ElementsAre("Sunset Boulevard", "Sunset Blvd", "West Sunset Boulevard", "Sunset Bulevard", "Sunset Blvd."));
  const ImportedSet open = Import("triviaqa", "triviaqa/open_test_sample1000.jsonl");
  ASSERT_EQ(open.prompts.size(), 1000u);
  EXPECT_EQ(open.prompts[0].text(), "Question: Who was the first man sent into space, in 1961??\nAnswer:");
  const ImportedSet array = Import("triviaqa", "triviaqa/rc_wikipedia_validation_sample150.json");
  ASSERT_EQ(array.prompts.size(), 150u);
  EXPECT_EQ(array.prompts[0].task().short_answer().answers(0), "Tequila");
  EXPECT_THAT(DrawnIds("triviaqa", "triviaqa/open_test_sample1000.jsonl"),
              ElementsAre("triviaqa-qw_1314", "triviaqa-odql_4912", "triviaqa-qw_2492"));
}

TEST(PublishedAlpaca, IsReadInBothFiles) {
  UAQF_NEED_DATA("alpaca/seed_tasks.jsonl");
  EXPECT_EQ(Import("alpaca", "alpaca/seed_tasks.jsonl").prompts.size(), 175u);
  const ImportedSet set = Import("alpaca", "alpaca/user_oriented_instructions.jsonl");
  ASSERT_EQ(set.prompts.size(), 252u);
  int with_input = 0;
  for (const v1::Prompt& prompt : set.prompts) with_input += prompt.task().open().input().empty() ? 0 : 1;
  EXPECT_EQ(with_input, 208);
  EXPECT_THAT(set.prompts[0].text(), HasSubstr("\n\n### Input:\nIf you have any questions about my rate"));
  EXPECT_THAT(set.prompts[0].text(), EndsWith("\n\n### Response:"));
  EXPECT_THAT(
      DrawnIds("alpaca", "alpaca/user_oriented_instructions.jsonl"),
      ElementsAre("alpaca-user_oriented_task_117", "alpaca-user_oriented_task_123", "alpaca-user_oriented_task_249"));
}

TEST(PublishedIfeval, IsReadWhole) {
  UAQF_NEED_DATA("ifeval/input_data.jsonl");
  const ImportedSet set = Import("ifeval", "ifeval/input_data.jsonl");
  ASSERT_EQ(set.prompts.size(), 541u);
  std::set<std::string> kinds;
  int instructions = 0;
  for (const v1::Prompt& prompt : set.prompts) {
    for (const v1::Instruction& instruction : prompt.task().instructions().instructions()) {
      kinds.insert(instruction.id());
      ++instructions;
    }
  }
  EXPECT_EQ(instructions, 834);
  EXPECT_EQ(kinds.size(), 25u);
  const auto& first = set.prompts[0].task().instructions().instructions();
  ASSERT_EQ(first.size(), 3);
  EXPECT_EQ(first[1].num_highlights(), 3);
  EXPECT_EQ(first[2].relation(), "at least");
  EXPECT_EQ(first[2].num_words(), 300);
  EXPECT_FALSE(first[0].has_num_words());
  EXPECT_THAT(DrawnIds("ifeval", "ifeval/input_data.jsonl"), ElementsAre("ifeval-2602", "ifeval-3073", "ifeval-3749"));
}

TEST(PublishedSuite, HasSeventeenHundredPromptsInThirteenCategoriesAndFiveGroups) {
  UAQF_NEED_DATA("gsm8k/test.jsonl");
  const std::vector<InputFile> files = {Shared("commonsense_qa/validation.jsonl"), Shared("gsm8k/test.jsonl"),
                                        Shared("alpaca/user_oriented_instructions.jsonl"),
                                        Shared("triviaqa/open_test_sample1000.jsonl")};
  const auto suite = BuildPaperSuite(files, 7);
  ASSERT_TRUE(suite.ok()) << suite.status();
  std::map<std::string, int> categories;
  std::map<v1::PromptGroup, int> groups;
  std::set<std::string> ids;
  for (const v1::Prompt& prompt : suite->prompts) {
    ++categories[prompt.category()];
    ++groups[prompt.group()];
    ids.insert(prompt.id());
  }
  EXPECT_EQ(suite->prompts.size(), 1700u);
  EXPECT_EQ(ids.size(), 1700u);
  EXPECT_EQ(categories.size(), 13u);
  EXPECT_EQ(categories["math_reasoning"], 200);
  EXPECT_EQ(categories["temporal_planning"], 100);
  EXPECT_THAT(groups,
              ElementsAre(std::pair(v1::PROMPT_GROUP_DIALOGUE, 100), std::pair(v1::PROMPT_GROUP_INSTRUCTION, 200),
                          std::pair(v1::PROMPT_GROUP_KNOWLEDGE_COMMONSENSE, 400),
                          std::pair(v1::PROMPT_GROUP_MATH_ANALYTICAL, 200), std::pair(v1::PROMPT_GROUP_OTHER, 800)));
  EXPECT_EQ(suite->sources.size(), 5u);
}

}  // namespace
}  // namespace uaqf::client
