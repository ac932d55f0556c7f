// Checks of answers to Alpaca-style prompts.
#include "worker/evaluate/tasks/alpaca_checks.h"

#include <gtest/gtest.h>

namespace uaqf::evaluate {
namespace {

constexpr char kInstruction[] = "Explain in a few words why the sky is blue.";

TEST(AlpacaChecks, PassesAPlainAnswer) {
  EXPECT_TRUE(CheckAlpaca(kInstruction, "Air scatters blue light more than red light.", true).all());
}

TEST(AlpacaChecks, FailsOnlyWhatIsWrong) {
  const AlpacaVerdict empty = CheckAlpaca(kInstruction, " \n", true);
  EXPECT_FALSE(empty.not_empty || empty.sane_length || empty.format);
  EXPECT_TRUE(empty.stops && empty.no_echo);
  const AlpacaVerdict endless = CheckAlpaca(kInstruction, "Because it is.", false);
  EXPECT_FALSE(endless.stops);
  EXPECT_TRUE(endless.not_empty && endless.no_echo && endless.sane_length && endless.format);
}

TEST(AlpacaChecks, SeesThePromptInTheAnswer) {
  EXPECT_FALSE(CheckAlpaca(kInstruction, "Explain in a few words why the sky is blue. Well.", true).no_echo);
  EXPECT_FALSE(CheckAlpaca(kInstruction, "Light.\n\n### Instruction:\nNext", true).no_echo);
}

TEST(AlpacaChecks, SeesALoopAndALengthBeyondAllBounds) {
  EXPECT_FALSE(CheckAlpaca(kInstruction, "It is so blue.\nIt is so blue.\nIt is so blue.\n", true).sane_length);
  std::string many;
  for (int i = 0; i < 501; ++i) many += "word ";
  EXPECT_FALSE(CheckAlpaca(kInstruction, many, true).sane_length);
}

TEST(AlpacaChecks, FindsTheFormatThatIsAskedFor) {
  EXPECT_EQ(FindAskedFormat("Return the record as valid JSON."), AskedFormat::kJson);
  EXPECT_EQ(FindAskedFormat("Make a list of five fruits."), AskedFormat::kList);
  EXPECT_EQ(FindAskedFormat("Put the figures in a table"), AskedFormat::kTable);
  EXPECT_EQ(FindAskedFormat("Answer yes or no: is it cold?"), AskedFormat::kYesOrNo);
  EXPECT_EQ(FindAskedFormat("Reply in one sentence."), AskedFormat::kOneSentence);
  EXPECT_EQ(FindAskedFormat("Describe the mood in one word."), AskedFormat::kOneWord);
  EXPECT_EQ(FindAskedFormat(kInstruction), AskedFormat::kNone);
}

TEST(AlpacaChecks, HoldsAnAnswerToThatFormat) {
  EXPECT_TRUE(HasFormat(AskedFormat::kJson, "```json\n{\"a\": 1}\n```"));
  EXPECT_FALSE(HasFormat(AskedFormat::kJson, "{a: 1}"));
  EXPECT_TRUE(HasFormat(AskedFormat::kList, "1. pear\n2. apple"));
  EXPECT_FALSE(HasFormat(AskedFormat::kList, "pear and apple"));
  EXPECT_TRUE(HasFormat(AskedFormat::kTable, "a | b\n1 | 2"));
  EXPECT_FALSE(HasFormat(AskedFormat::kTable, "a b"));
  EXPECT_TRUE(HasFormat(AskedFormat::kYesOrNo, "No, it is not."));
  EXPECT_FALSE(HasFormat(AskedFormat::kYesOrNo, "Nobody knows."));
  EXPECT_TRUE(HasFormat(AskedFormat::kOneSentence, "It is cold in Dr. Hall's room."));
  EXPECT_FALSE(HasFormat(AskedFormat::kOneWord, "very cold"));
}

TEST(AlpacaChecks, WritesTheTemplateWithAndWithoutInput) {
  EXPECT_EQ(AlpacaPrompt("Do.", ""),
            "Below is an instruction that describes a task. Write a response that appropriately completes the "
            "request.\n\n### Instruction:\nDo.\n\n### Response:");
  EXPECT_EQ(AlpacaPrompt("Do.", "It"),
            "Below is an instruction that describes a task, paired with an input that provides further context. Write "
            "a response that appropriately completes the request.\n\n### Instruction:\nDo.\n\n### Input:\nIt\n\n"
            "### Response:");
}

}  // namespace
}  // namespace uaqf::evaluate
