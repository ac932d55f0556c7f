// Perplexity of whole articles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/ranking/measures.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::HasSubstr;

std::vector<VariantMeasures> Measured(Recorder& recorder) {
  auto measures = Measure(recorder.measurements());
  EXPECT_TRUE(measures.ok()) << measures.status();
  return *std::move(measures);
}

TEST(ArticleMeasures, AreOfTheSumsOverAllArticles) {
  Recorder recorder({"fp16", "rtn-w4"});
  recorder.Article(0, 0, 3.0, 100).Article(0, 1, 4.0, 300).Article(1, 0, 3.2, 100).Article(1, 1, 4.4, 300);
  const auto measures = Measured(recorder);
  ASSERT_TRUE(measures[0].articles.has_value() && measures[1].articles.has_value());
  const ArticleMeasure& fp16 = *measures[0].articles;
  EXPECT_EQ(fp16.articles, 2);
  EXPECT_EQ(fp16.tokens, 600);
  EXPECT_EQ(fp16.words, 400);
  EXPECT_EQ(fp16.bytes, 2000);
  EXPECT_NEAR(*fp16.word_perplexity, std::exp(1500.0 / 400), 1e-9);
  EXPECT_NEAR(*fp16.byte_perplexity, std::exp(1500.0 / 2000), 1e-9);
  EXPECT_NEAR(*fp16.bits_per_byte, 1500.0 / 2000 / std::log(2.0), 1e-9);
  EXPECT_NEAR(*measures[1].articles->delta_word_perplexity, std::exp(1640.0 / 400) - std::exp(1500.0 / 400), 1e-9);
  EXPECT_FALSE(measures[0].perplexity.has_value()) << "the other recipe was not measured";
}

// Situation: one article of FP16 was quarantined.
TEST(ArticleMeasures, CompareOnTheArticlesThatBothHave) {
  Recorder recorder({"fp16", "rtn-w4"});
  recorder.Article(0, 0, 3.0).Article(1, 0, 3.5).Article(1, 1, 9.0);
  const auto measures = Measured(recorder);
  EXPECT_NEAR(*measures[1].articles->delta_word_perplexity, std::exp(3.5) - std::exp(3.0), 1e-9);
  EXPECT_NEAR(*measures[1].articles->word_perplexity, std::exp(6.25), 1e-9);
}

TEST(ArticleMeasures, OfACollapsedVariantHaveNoPerplexity) {
  Recorder recorder({"rtn-w4"});
  recorder.Article(0, 0, NAN);
  const auto measures = Measured(recorder);
  ASSERT_TRUE(measures[0].articles.has_value());
  EXPECT_EQ(measures[0].articles->articles, 1);
  EXPECT_FALSE(measures[0].articles->word_perplexity.has_value());
  EXPECT_FALSE(measures[0].articles->delta_word_perplexity.has_value());
}

TEST(ArticleMeasures, RefuseAnArticleTwice) {
  Recorder recorder({"fp16"});
  recorder.Article(0, 0, 3).Article(0, 0, 3);
  EXPECT_THAT(std::string(Measure(recorder.measurements()).status().message()), HasSubstr("there twice"));
}

}  // namespace
}  // namespace uaqf::ranking
