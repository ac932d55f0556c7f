// A job scores a text whose rows were joined when it was imported as the command that joins them itself does.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "client/prompt_file.h"
#include "tests/support/test_data.h"
#include "tests/worker/commands/run_worker.h"
#include "tests/worker/model/model_files.h"
#include "worker/evaluate/engine_evaluator.h"
#include "worker/evaluate/perplexity.h"
#include "worker/measure/clock.h"

namespace uaqf::evaluate {
namespace {

// The items of a set, as the worker gets them.
measure::PromptSet Text(const std::string& name, const absl::StatusOr<std::vector<v1::Prompt>>& pieces) {
  measure::PromptSet text{"promptSets/" + name, {}};
  for (const v1::Prompt& piece : pieces.value()) text.prompts.push_back({piece.id(), piece.text(), {}});
  return text;
}

TEST(JoinedRows, LoseInAJobWhatTheyLoseInTheCommand) {
  UAQF_NEED_DATA("stories260k/stories260K.bin");
  const std::string raw =
      " \n = A tale = \n \n Once upon a time , there was a little girl . She had a ball . \n"
      " \n = Another = \n \n Tom was sad . His dog was gone . \n";
  const std::string model = test::StoriesModel();
  measure::SteadyClock clock;
  EngineEvaluator evaluator({.models = std::filesystem::path(model).parent_path(), .threads = 1}, &clock);
  ASSERT_TRUE(evaluator.Load({"stories260k", "fp16", 128}).ok());
  const auto joined = client::JoinRows(raw, "wiki.raw");
  ASSERT_TRUE(joined.ok()) << joined.status();
  const std::string file = test::ScratchFolder() + "/wiki.raw";
  std::ofstream(file, std::ios::binary) << raw;
  const test::Outcome outcome = test::RunWorker(
      {"perplexity", model, "--text", file, "--join-rows", "--context", "16", "--threads", "1", "--output", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto windows = outcome.json()["windows"].get<int32_t>();
  ASSERT_GE(windows, 2);
  std::vector<double> nll;
  // Small pieces: what transport cuts must not matter.
  const measure::PromptSet text = Text("joined", client::CutText(*joined, "wiki.raw", 16));
  for (int32_t i = 0; i < windows; ++i) {
    const auto score = evaluator.ScoreWindow(text, 16, i);
    ASSERT_TRUE(score.ok()) << score.status();
    nll.push_back(score->nll_sum / score->scored_tokens);
  }
  EXPECT_FALSE(evaluator.ScoreWindow(text, 16, windows).ok()) << "the job has windows that the command has not";
  EXPECT_DOUBLE_EQ(outcome.json()["nll"].get<double>(), MeanNll(nll));
  EXPECT_NE(evaluator.ScoreWindow(Text("raw", client::CutText(raw, "wiki.raw")), 16, 1)->nll_sum / 15, nll[1])
      << "joining changes nothing here, so that this test shows nothing";
}

}  // namespace
}  // namespace uaqf::evaluate
