// A job's articles are scored as the command scores them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/test_data.h"
#include "tests/worker/commands/run_worker.h"
#include "tests/worker/model/model_files.h"
#include "worker/evaluate/engine_evaluator.h"
#include "worker/measure/clock.h"

namespace uaqf::evaluate {
namespace {

TEST(Articles, LoseInAJobWhatTheyLoseInTheCommand) {
  UAQF_NEED_DATA("stories260k/stories260K.bin");
  const std::string raw =
      " = A tale = \n \n Once upon a time , there was a little girl . She had a ball . \n"
      " = Another = \n \n Tom was sad . His @-@ dog @-@ was gone . \n";
  const std::string model = test::StoriesModel();
  measure::SteadyClock clock;
  EngineEvaluator evaluator({.models = std::filesystem::path(model).parent_path(), .threads = 1}, &clock);
  ASSERT_TRUE(evaluator.Load({"stories260k", "fp16", 128}).ok());
  const measure::PromptSet articles{"promptSets/a", {{"0", raw, {}}}};
  double nll = 0;
  int64_t words = 0;
  for (int i = 0; i < 2; ++i) {
    const auto score = evaluator.ScoreArticle(articles, 33, i);
    ASSERT_TRUE(score.ok()) << score.status();
    nll += score->nll_sum;
    words += score->words;
  }
  const std::string file = test::ScratchFolder() + "/articles.raw";
  std::ofstream(file, std::ios::binary) << raw;
  const test::Outcome outcome =
      test::RunWorker({"wikitext", model, "--text", file, "--context", "32", "--output", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NEAR(outcome.json()["nll_sum"].get<double>(), nll, 1e-3);
  EXPECT_EQ(outcome.json()["words"], words);
}

}  // namespace
}  // namespace uaqf::evaluate
