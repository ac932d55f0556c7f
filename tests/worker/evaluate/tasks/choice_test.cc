// Multiple choice by likelihood.
#include "worker/evaluate/tasks/choice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "tests/support/test_data.h"

namespace uaqf::evaluate {
namespace {

TEST(Choice, TakesTheLikeliestAndTheFirstAmongEquals) {
  EXPECT_EQ(BestChoice(std::vector<double>{-3, -1, -2, -1}), 1);
  EXPECT_EQ(BestChoice(std::vector<double>{-INFINITY, -INFINITY}), 0);
}

// A collapsed variant may score NaN.
TEST(Choice, NeverTakesWhatIsNoNumber) {
  EXPECT_EQ(BestChoice(std::vector<double>{NAN, -5}), 1);
  EXPECT_EQ(BestChoice(std::vector<double>{NAN, NAN}), -1);
}

TEST(Choice, MarginIsNegativeWhereAWrongChoiceIsLikelier) {
  EXPECT_DOUBLE_EQ(ChoiceMargin(std::vector<double>{-1, -3, -2}, 0), 1);
  EXPECT_DOUBLE_EQ(ChoiceMargin(std::vector<double>{-1, -3, -2}, 1), -2);
}

// A scorer that always prefers one letter gets the share of items whose key that letter is.
TEST(Choice, ConstantAnswersScoreTheSharesOfTheKeys) {
  UAQF_NEED_DATA("commonsense_qa/validation.jsonl");
  std::istringstream lines(test::ReadFile(test::SharedData("commonsense_qa/validation.jsonl")));
  std::vector<int> right(5);
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    const std::string key = nlohmann::json::parse(line)["answerKey"];
    for (int constant = 0; constant < 5; ++constant) {
      std::vector<double> scores(5, -2);
      scores[static_cast<size_t>(constant)] = -1;
      if (BestChoice(scores) == key[0] - 'A') ++right[static_cast<size_t>(constant)];
    }
  }
  EXPECT_EQ(rows, 1221);
  EXPECT_EQ(right, (std::vector<int>{239, 255, 241, 251, 235}));
}

}  // namespace
}  // namespace uaqf::evaluate
