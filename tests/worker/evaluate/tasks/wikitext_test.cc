// lm-eval's wikitext recipe: articles, detokenization, and windows that score every token once.
#include "worker/evaluate/tasks/wikitext.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/test_data.h"

namespace uaqf::evaluate {
namespace {

TEST(Wikitext, SplitsAtTitlesButNotAtHeadings) {
  const auto articles = SplitArticles(" \n = A = \n \n Text . \n = = Part = = \n More . \n = B = \n");
  ASSERT_EQ(articles.size(), 2U);
  EXPECT_EQ(articles[0], " = A = \n \n Text . \n = = Part = = \n More . \n");
  EXPECT_EQ(articles[1], " = B = \n");
}

TEST(Wikitext, UndoesTheTokenization) {
  EXPECT_EQ(Detokenize(" a well @-@ known 1 @,@ 000 , ( x ) and \" y \" . \n = = Part = = \n"),
            " a well-known 1,000, (x) and \"y\".\n== Part ==\n");
}

TEST(Wikitext, TheTestSplitHas62Articles) {
  UAQF_NEED_DATA("wikitext2/wiki.test.raw");
  const std::string raw = test::ReadFile(test::SharedData("wikitext2/wiki.test.raw"));
  const auto articles = SplitArticles(raw);
  EXPECT_EQ(articles.size(), 62U);
  int64_t bytes = 0;
  for (const std::string& article : articles) bytes += ArticleBytes(article);
  // All but the blank line before the first title.
  EXPECT_EQ(bytes, static_cast<int64_t>(raw.size()) - 2);
}

TEST(Wikitext, CountsWordsAsPythonSplits) {
  EXPECT_EQ(ArticleWords(" one two\n"), 4);
  EXPECT_EQ(ArticleWords("one"), 1);
}

// Whatever the length, each token is scored once, in order, with a window that the model can take.
TEST(Wikitext, WindowsScoreEveryTokenOnce) {
  for (const int64_t tokens : {1, 3, 4, 5, 8, 9, 11, 100}) {
    int64_t scored = 0;
    for (const RollingWindow& window : RollingWindows(tokens, 4)) {
      EXPECT_EQ(window.begin + window.count - window.scored, scored);
      EXPECT_EQ(window.prefix, scored == 0);
      EXPECT_LE(window.count + (window.prefix ? 1 : 0), 5);
      EXPECT_GE(window.begin, 0);
      scored += window.scored;
    }
    EXPECT_EQ(scored, tokens);
  }
  EXPECT_TRUE(RollingWindows(0, 4).empty());
}

}  // namespace
}  // namespace uaqf::evaluate
