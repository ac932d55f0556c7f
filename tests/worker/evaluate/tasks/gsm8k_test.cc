// GSM8K: what is taken from an answer and when it counts as right.
#include "worker/evaluate/tasks/gsm8k.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/test_data.h"

namespace uaqf::evaluate {
namespace {

TEST(Gsm8k, StrictTakesTheNumberAfterTheFirstMark) {
  EXPECT_EQ(ExtractStrict("so 3 + 4 = 7\n#### 7\n#### 8"), "7");
  EXPECT_EQ(ExtractStrict("#### -1,234.50 dollars"), "-1,234.50");
  EXPECT_EQ(ExtractStrict("The answer is 7"), std::nullopt);
}

TEST(Gsm8k, FlexibleTakesTheLastNumber) {
  EXPECT_EQ(ExtractFlexible("2 apples and 35 pears"), "35");
  EXPECT_EQ(ExtractFlexible("It costs $1,200."), "$1,200.");
  EXPECT_EQ(ExtractFlexible("none"), std::nullopt);
}

TEST(Gsm8k, ComparesWithoutCommasDollarsAndAFinalPoint) {
  EXPECT_EQ(NormalizeNumber("step\nstep\n#### $1,200."), "1200");
  EXPECT_EQ(NormalizeNumber("18"), "18");
}

TEST(Gsm8k, StrictNeedsTheMarkAndFlexibleDoesNot) {
  const GsmVerdict plain = ScoreGsm8k("She makes $18.", "9 * 2 = 18\n#### 18");
  EXPECT_FALSE(plain.strict);
  EXPECT_TRUE(plain.flexible);
  const GsmVerdict marked = ScoreGsm8k("#### 18\nQ: 5", "9 * 2 = 18\n#### 18");
  EXPECT_TRUE(marked.strict);
  EXPECT_FALSE(marked.flexible);
}

TEST(Gsm8k, EveryReferenceOfTheTestSplitIsRightByItself) {
  UAQF_NEED_DATA("gsm8k/test.jsonl");
  std::istringstream lines(test::ReadFile(test::SharedData("gsm8k/test.jsonl")));
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    const std::string answer = nlohmann::json::parse(line)["answer"];
    const GsmVerdict verdict = ScoreGsm8k(answer, answer);
    EXPECT_TRUE(verdict.strict && verdict.flexible) << answer;
  }
  EXPECT_EQ(rows, 1319);
}

TEST(Gsm8k, AgreesWithTheLabelsOfTheFourPublishedModels) {
  UAQF_NEED_DATA("gsm8k/example_model_solutions.jsonl");
  const Regex final_answer = Regex::Known(R"(A: (\-?[0-9\.\,]+))");
  const auto number = [&final_answer](const nlohmann::json& text) {
    const auto found = ExtractFirst(text.get<std::string>(), final_answer);
    return found.has_value() ? NormalizeNumber(*found) : "";
  };
  std::istringstream lines(test::ReadFile(test::SharedData("gsm8k/example_model_solutions.jsonl")));
  std::map<std::string, int> agreed;
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line);
    for (const char* model : {"6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"}) {
      const std::string given = number(row[model]["solution"]);
      const bool right = !given.empty() && given == number(row["ground_truth"]);
      if (right == row[model]["is_correct"].get<bool>()) ++agreed[model];
    }
  }
  EXPECT_EQ(agreed["6b_finetuning"], 1319);
  EXPECT_EQ(agreed["6b_verification"], 1319);
  EXPECT_EQ(agreed["175b_finetuning"], 1319);
  EXPECT_EQ(agreed["175b_verification"], 1318);
}

}  // namespace
}  // namespace uaqf::evaluate
