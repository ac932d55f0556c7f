#include "worker/evaluate/tasks/loop.h"

#include <gtest/gtest.h>

#include <vector>

namespace uaqf::evaluate {
namespace {

// `head` tokens that are all different, then the first `tail` of the repeated `phrase`.
std::vector<int32_t> Output(int head, const std::vector<int32_t>& phrase, int tail) {
  std::vector<int32_t> ids;
  for (int i = 0; i < head; ++i) ids.push_back(1000 + i);
  for (int i = 0; i < tail; ++i) ids.push_back(phrase[static_cast<size_t>(i) % phrase.size()]);
  return ids;
}

TEST(EndsInLoop, WhereThePhraseStandsThreeTimesAtTheEnd) {
  const std::vector<int32_t> phrase = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_TRUE(EndsInLoop(Output(20, phrase, 27)));
  EXPECT_TRUE(EndsInLoop(Output(0, phrase, 30))) << "the last one may be cut short";
  EXPECT_FALSE(EndsInLoop(Output(20, phrase, 26))) << "not quite three times";
  EXPECT_FALSE(EndsInLoop(Output(20, phrase, 18)));
}

TEST(EndsInLoop, NeedsTwentyFourTokens) {
  EXPECT_TRUE(EndsInLoop(Output(5, {1}, 24)));
  EXPECT_FALSE(EndsInLoop(Output(5, {1}, 23))) << "a rule in a table";
  EXPECT_TRUE(EndsInLoop(Output(5, {1, 2}, 24)));
  EXPECT_FALSE(EndsInLoop(Output(5, {1, 2}, 22)));
}

TEST(EndsInLoop, LooksAtTheEndAlone) {
  std::vector<int32_t> ids = Output(0, {1, 2, 3}, 60);
  EXPECT_TRUE(EndsInLoop(ids));
  ids.push_back(99);
  EXPECT_FALSE(EndsInLoop(ids)) << "it got out";
}

TEST(EndsInLoop, IsNoneOfNothing) {
  EXPECT_FALSE(EndsInLoop({}));
  EXPECT_FALSE(EndsInLoop(Output(256, {1}, 0)));
}

TEST(RepeatsLine, WhereALineOfThreeWordsStandsThreeTimesInARow) {
  EXPECT_TRUE(RepeatsLine("It is so.\nIt is so.\n\n It is so.\nNo."));
  EXPECT_FALSE(RepeatsLine("It is so.\nIt is so.\nIt is not.\nIt is so."));
  EXPECT_FALSE(RepeatsLine("yes\nyes\nyes\nyes")) << "too short to be one";
}

}  // namespace
}  // namespace uaqf::evaluate
