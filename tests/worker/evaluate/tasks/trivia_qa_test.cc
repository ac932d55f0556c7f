// TriviaQA: the two normalisers and exact match.
#include "worker/evaluate/tasks/trivia_qa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/test_data.h"

namespace uaqf::evaluate {
namespace {

TEST(TriviaQa, OfficialNormaliserDropsArticlesAndTurnsPunctuationIntoSpaces) {
  EXPECT_EQ(NormalizeTriviaOfficial("The_Beatles' (band)"), "beatles band");
  EXPECT_EQ(NormalizeTriviaOfficial("‘An’ Élan,  a test"), "élan test");
}

TEST(TriviaQa, LmEvalsNormaliserDeletesPunctuationAndKeepsArticles) {
  EXPECT_EQ(NormalizeTriviaLmEval("The Rock-n-Roll!"), "the rocknroll");
}

TEST(TriviaQa, MatchesAnyAlias) {
  const std::vector<std::string> aliases = {"Sunset Boulevard", "Sunset Blvd."};
  const TriviaVerdict both = ScoreTriviaQa(" sunset blvd\n", aliases);
  EXPECT_TRUE(both.official && both.lm_eval);
  const TriviaVerdict article = ScoreTriviaQa("The Sunset Boulevard", aliases);
  EXPECT_TRUE(article.official);
  EXPECT_FALSE(article.lm_eval);
  EXPECT_FALSE(ScoreTriviaQa("Sunset", aliases).official);
}

TEST(TriviaQa, AnEmptyAnswerMatchesNothing) {
  const TriviaVerdict verdict = ScoreTriviaQa("...", {"!!", "a"});
  EXPECT_FALSE(verdict.official || verdict.lm_eval);
}

TEST(TriviaQa, ScoresTheOfficialSampleAndItsNormalisedAliases) {
  UAQF_NEED_DATA("triviaqa/official_sample.json");
  const auto sample = nlohmann::json::parse(test::ReadFile(test::SharedData("triviaqa/official_sample.json")));
  const auto& answer = sample["Data"][0]["Answer"];
  EXPECT_TRUE(ScoreTriviaQa("Sunset Blvd", answer["Aliases"]).official);
  const std::vector<std::string> normalized = answer["NormalizedAliases"];
  for (const std::string alias : answer["Aliases"]) {
    EXPECT_NE(std::find(normalized.begin(), normalized.end(), NormalizeTriviaOfficial(alias)), normalized.end())
        << alias;
  }
}

// The rows carry each alias as written and as the official script normalises it.
TEST(TriviaQa, NormalisesAliasesToTheFormsThatTheDataSetCarries) {
  UAQF_NEED_DATA("triviaqa/open_test_sample1000.jsonl");
  std::istringstream lines(test::ReadFile(test::SharedData("triviaqa/open_test_sample1000.jsonl")));
  int aliases = 0;
  int found = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> answers = nlohmann::json::parse(line)["answers"];
    for (const std::string& alias : answers) {
      const std::string normalized = NormalizeTriviaOfficial(alias);
      ++aliases;
      found += std::find(answers.begin(), answers.end(), normalized) != answers.end() ? 1 : 0;
    }
  }
  RecordProperty("aliases", aliases);
  RecordProperty("found", found);
  EXPECT_GT(aliases, 10000);
  // The published forms were not made from all of the aliases by one version of the script.
  EXPECT_GE(found, aliases - 3) << found << " of " << aliases;
}

}  // namespace
}  // namespace uaqf::evaluate
