// Windows of a text, models of a folder, and the evaluator that computes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/test_data.h"
#include "tests/worker/model/model_files.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/engine_evaluator.h"
#include "worker/evaluate/hosted_variant.h"
#include "worker/evaluate/perplexity.h"
#include "worker/measure/clock.h"
#include "worker/quantize/prose.h"

namespace uaqf::evaluate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;

TEST(Windows, AreDisjointAndDropTheTail) {
  EXPECT_EQ(WindowCount(341469, 2048), 166);
  EXPECT_EQ(WindowCount(2047, 2048), 0);
  EXPECT_EQ(WindowCount(2048, 2048), 1);
}

TEST(Windows, MeanIsOverWindowMeans) { EXPECT_DOUBLE_EQ(MeanNll({1.0, 2.0, 6.0}), 3.0); }

TEST(JoinRows, MakesBlankLinesEmptyRowsAndKeepsLineFeeds) {
  EXPECT_EQ(JoinRows(" \n = Title = \n \n Text .\n"), "\n\n = Title = \n\n\n\n\n Text .\n");
  EXPECT_EQ(JoinRows(""), "");
  EXPECT_EQ(JoinRows("no feed"), "no feed");
}

TEST(JoinPieces, PutsNothingBetween) {
  EXPECT_EQ(JoinPieces({"set", {{"0", "one ", {}}, {"1", "text", {}}}}), "one text");
}

TEST(Catalog, FindsFilesAndFoldersButNothingElse) {
  const std::string folder = test::ScratchFolder();
  std::filesystem::create_directories(folder + "/hf");
  std::filesystem::create_directories(folder + "/empty");
  std::filesystem::create_directories(folder + "/bad name");
  for (const char* file : {"/hf/config.json", "/a-1.gguf", "/readme.txt", "/bad name/config.json", "/.hidden.gguf"}) {
    std::ofstream(folder + file) << "{}";
  }
  EXPECT_THAT(*FindModels(folder), ElementsAre(Key("a-1"), Key("hf")));
}

TEST(Catalog, ModelIdsAreNoPaths) {
  const std::string folder = test::ScratchFolder();
  measure::SteadyClock clock;
  EngineEvaluator evaluator({.models = folder, .threads = 1}, &clock);
  for (const char* id : {"../secret", "/etc/passwd", "a/b", ".", ""}) {
    EXPECT_EQ(evaluator.Load({id, "fp16", 16}).code(), absl::StatusCode::kNotFound) << id;
  }
}

TEST(Catalog, OffersSyntheticModelsOnlyWhereAsked) {
  const std::string folder = test::ScratchFolder();
  measure::SteadyClock clock;
  EngineEvaluator without({.models = folder, .threads = 1}, &clock);
  EXPECT_EQ(without.Load({"synthetic:tiny", "fp16", 16}).code(), absl::StatusCode::kNotFound);
  EngineEvaluator with({.models = folder, .threads = 1, .synthetic = true}, &clock);
  EXPECT_TRUE(with.Load({"synthetic:tiny", "rtn-w8", 16}).ok());
  EXPECT_TRUE(with.Generate({"a", "hi", {}}, {.max_output_tokens = 4}).ok());
  EXPECT_EQ(*ResolveModel("synthetic:llama-2-7b", "/no/such/folder"), "synthetic:llama-2-7b");
}

TEST(Catalog, MeasuresNoQualityOfRandomWeights) {
  const std::string folder = test::ScratchFolder();
  measure::SteadyClock clock;
  EngineEvaluator evaluator({.models = folder, .threads = 1, .synthetic = true}, &clock);
  measure::PromptSet text{"t", {{"0", std::string(100, 'a'), {}}}};
  measure::PromptSet prompts{"p", {{"0", "hi", {}}}};
  measure::SurveyRequest survey;
  survey.model = "synthetic:tiny";
  survey.prompts = &prompts;
  EXPECT_TRUE(evaluator.Survey(survey).ok());
  survey.text = &text;
  EXPECT_THAT(std::string(evaluator.Survey(survey).status().message()), HasSubstr("quality is not measured"));
  ASSERT_TRUE(evaluator.Load({"synthetic:tiny", "fp16", 64}).ok());
  EXPECT_EQ(evaluator.ScoreWindow(text, 32, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

// A release is a variant of itself and of each model of its shape, but not of others, and no plain model is one.
TEST(Catalog, OffersReleasesToModelsOfTheirShape) {
  const auto entry = [](const std::string& id, const std::string& format, int64_t ff) {
    CatalogEntry made;
    made.id = made.config.name = id;
    made.release_format = made.config.release_format = format;
    made.config.ff = ff;
    made.release_bytes = 1000;
    return made;
  };
  const std::vector<CatalogEntry> entries = {entry("base", "", 96), entry("gptq", "GPTQ 4-bit g128", 96),
                                             entry("other", "Q4_1", 128)};
  const std::vector<VariantFit> of_base = CheckpointVariants(entries[0], entries);
  ASSERT_EQ(of_base.size(), 1U);
  EXPECT_EQ(of_base[0].variant, "checkpoint:gptq");
  EXPECT_EQ(of_base[0].description, "GPTQ 4-bit g128, a release in its own form");
  EXPECT_EQ(of_base[0].weights_bytes, 1000);
  const std::vector<VariantFit> of_other = CheckpointVariants(entries[2], entries);
  ASSERT_EQ(of_other.size(), 1U);
  EXPECT_THAT(of_other[0].description, HasSubstr("fp16 is its weights dequantized"));
}

TEST(Catalog, SaysWhichFolderIsMissing) {
  EXPECT_THAT(std::string(FindModels("/no/such/folder").status().message()), HasSubstr("/no/such/folder"));
}

class EvaluatorTest : public testing::Test {
 protected:
  void SetUp() override {
    UAQF_NEED_DATA("stories260k/stories260K.bin");
    const std::string models = std::filesystem::path(test::StoriesModel()).parent_path();
    evaluator_ = std::make_unique<EngineEvaluator>(EngineEvaluator::Options{.models = models, .threads = 1}, &clock_);
    std::string text;
    while (text.size() < 3000) text += "Lily and Tom went to the park to play with a big red ball. ";
    text_.prompts.push_back({"0", text.substr(0, 1000), {}});
    text_.prompts.push_back({"1", text.substr(1000), {}});
  }
  absl::Status Load(const std::string& variant) { return evaluator_->Load({"stories260k", variant, 128}); }

  measure::SteadyClock clock_;
  std::unique_ptr<EngineEvaluator> evaluator_;
  measure::PromptSet text_{"promptSets/t", {}};
  const measure::Prompt prompt_{"p", "Once upon a time", {}};
};

TEST_F(EvaluatorTest, NeedsAHostedVariant) {
  EXPECT_EQ(evaluator_->TimePrompt(prompt_, {}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(evaluator_->ScoreWindow(text_, 64, 0).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(evaluator_->Identify().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(EvaluatorTest, RefusesASequenceBeyondTheContext) {
  EXPECT_THAT(std::string(evaluator_->Load({"stories260k", "fp16", 513}).message()), HasSubstr("expected at most 512"));
}

measure::BatchRequest BatchOf(const std::vector<const measure::Prompt*>& prompts, int32_t output_tokens) {
  measure::BatchRequest request;
  request.prompts = prompts;
  for (size_t k = 0; k < prompts.size(); ++k) request.prose_seeds.push_back(k);
  request.input_tokens = 32;
  request.output_tokens = output_tokens;
  return request;
}

TEST_F(EvaluatorTest, ABatchSaysWhatEachOfItsSequencesSaysAlone) {
  measure::HostRequest host{"stories260k", "rtn-w8", 128};
  host.max_batch = 3;
  ASSERT_TRUE(evaluator_->Load(host).ok());
  const measure::Prompt other{"q", "The dog ran to the river and", {}};
  const auto together = evaluator_->TimeBatch(BatchOf({&prompt_, &other, &prompt_}, 20));
  ASSERT_TRUE(together.ok()) << together.status();
  EXPECT_EQ(together->batch, 3);
  EXPECT_EQ(together->input_tokens, 32);
  EXPECT_EQ(together->output_tokens, 20);
  EXPECT_GE(together->latency_ns, together->tokenize_ns + together->prefill_ns + together->decode_ns);
  EXPECT_GT(together->prefill_ns, 0);
  EXPECT_GT(together->decode_ns, 0);
  EXPECT_EQ(evaluator_->TimeBatch(BatchOf({&prompt_, &other, &prompt_}, 20))->output_digest, together->output_digest);
  // The same prompt after the same prose at batch 1 is what a single generation gives.
  const auto alone = evaluator_->TimeBatch(BatchOf({&prompt_}, 20));
  measure::GenerationRequest request;
  request.input_tokens = 32;
  request.output_tokens = 20;
  request.prose_seed = 0;
  EXPECT_EQ(evaluator_->TimePrompt(prompt_, request)->output_digest, alone->output_digest);
}

TEST_F(EvaluatorTest, ABatchsWorkIsThatOfItsSizeAndStepsAndItsMemoryThatOfOneSequence) {
  ASSERT_TRUE(evaluator_->Load({"stories260k", "fp16", 128}).ok());
  const measure::Memory one = *evaluator_->MemoryUsed();
  measure::HostRequest host{"stories260k", "fp16", 128};
  host.max_batch = 4;
  ASSERT_TRUE(evaluator_->Load(host).ok());
  const measure::Memory four = *evaluator_->MemoryUsed();
  EXPECT_EQ(four.kv_cache_bytes, one.kv_cache_bytes);
  EXPECT_EQ(four.kv_bytes_per_token, one.kv_cache_bytes / 128);

  const auto alone = evaluator_->TimeBatch(BatchOf({&prompt_}, 21)),
             together = evaluator_->TimeBatch(BatchOf({&prompt_, &prompt_, &prompt_, &prompt_}, 21));
  ASSERT_TRUE(alone.ok() && together.ok());
  EXPECT_DOUBLE_EQ(together->prefill.operations, 4 * alone->prefill.operations);
  EXPECT_DOUBLE_EQ(together->decode.operations, 4 * alone->decode.operations);
  EXPECT_GT(together->decode.bytes, alone->decode.bytes) << "each sequence's cache";
  EXPECT_LT(together->decode.bytes, 2 * alone->decode.bytes) << "weights are read once for all";
  EXPECT_GT(alone->decode.bytes, 20.0 * 2 * 200'000) << "20 steps over the weights of a model of 260,000 parameters";
}

TEST_F(EvaluatorTest, RefusesABatchBeyondWhatIsHosted) {
  ASSERT_TRUE(evaluator_->Load({"stories260k", "fp16", 64}).ok());
  EXPECT_THAT(std::string(evaluator_->TimeBatch(BatchOf({&prompt_, &prompt_}, 4)).status().message()),
              HasSubstr("batch of 2 with 4 tokens out: expected 1 to 1 sequences"));
  EXPECT_THAT(std::string(evaluator_->TimeBatch(BatchOf({&prompt_}, 64)).status().message()),
              HasSubstr("sequence of 96 tokens: expected at most 64"));
}

// Situation: the text that is scored is the one a variant is calibrated on, in other pieces and by another name.
TEST_F(EvaluatorTest, RefusesAJobThatCalibratesOnWhatItScores) {
  const std::string prose(quantize::CalibrationProse());
  const measure::PromptSet prompts{"promptSets/p", {prompt_}};
  const measure::PromptSet scored{"promptSets/s",
                                  {{"0", prose.substr(5000, 3000), {}}, {"1", prose.substr(8000, 3000), {}}}};
  const measure::PromptSet other{"promptSets/o", {{"0", "A text that is about something else.", {}}}};
  measure::SurveyRequest request;
  request.model = "stories260k";
  request.prompts = &prompts;
  request.text = &scored;
  request.context_tokens = 64;
  const auto refusal = [&] { return std::string(evaluator_->Survey(request).status().message()); };
  EXPECT_EQ(refusal(), "");
  request.variants = {{"fp16"}, {"rtn-w4"}, {"nonsense"}, {"checkpoint:x"}};
  EXPECT_EQ(refusal(), "");
  request.variants.push_back({"gptq-w4"});
  EXPECT_THAT(refusal(),
              HasSubstr("the prose that gptq-w4 is calibrated on by default shares a passage of 50 words with "
                        "the text, which is scored"));
  request.variants.back() = {"gptq-w4:text=" + std::string(64, 'a'), &other};
  EXPECT_EQ(refusal(), "");
  request.variants.back().calibration_text = &scored;
  EXPECT_THAT(refusal(), HasSubstr("promptSets/s, the calibration text of gptq-w4:text=aaa"));
  EXPECT_THAT(refusal(), HasSubstr("calibrate on one that is not scored"));
}

TEST_F(EvaluatorTest, TakesLessMemoryWithFewerBits) {
  ASSERT_TRUE(Load("fp16").ok());
  const measure::Memory fp16 = *evaluator_->MemoryUsed();
  const std::string digest = evaluator_->Identify()->variant_digest;
  const std::string tokenizer = evaluator_->Identify()->tokenizer_digest;
  EXPECT_EQ(tokenizer.size(), 64u);
  ASSERT_TRUE(Load("rtn-w8-channel").ok());
  EXPECT_EQ(evaluator_->Identify()->tokenizer_digest, tokenizer);
  EXPECT_LT(evaluator_->MemoryUsed()->block_weights_bytes, fp16.block_weights_bytes);
  EXPECT_NE(evaluator_->Identify()->variant_digest, digest);
  EXPECT_EQ(evaluator_->Identify()->variant_config,
            R"({"activation_bits":16,"granularity":"channel","group_size":0,"method":"rtn","quantizer_version":1,)"
            R"("weight_bits":8})");
}

TEST_F(EvaluatorTest, NamesTheCheckpointsThereAreAndWhyOneIsNone) {
  EXPECT_EQ(Load("checkpoint:../secret").code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Load("checkpoint:nothing").message()), HasSubstr("stories260k"));
  EXPECT_THAT(std::string(Load("checkpoint:stories260k").message()), HasSubstr("stories260k is not quantized"));
}

TEST_F(EvaluatorTest, SurveysAnotherJobWithoutDisturbingWhatIsHosted) {
  ASSERT_TRUE(Load("fp16").ok());
  measure::PromptSet prompts{"promptSets/p", {prompt_}};
  measure::SurveyRequest request;
  request.model = "stories260k";
  request.prompts = &prompts;
  request.text = &text_;
  request.context_tokens = 64;
  request.input.input_tokens = 100;
  const auto report = evaluator_->Survey(request);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->longest_input_tokens, 100);
  EXPECT_EQ(report->text_windows, report->text_tokens / 64);
  EXPECT_TRUE(evaluator_->TimePrompt(prompt_, {.output_tokens = 2}).ok());
}

TEST_F(EvaluatorTest, RefusesAGridWhoseInputsAreTooShortForAPrompt) {
  measure::PromptSet prompts{"promptSets/p", {prompt_}};
  prompts.prompts[0].id = "long";
  measure::SurveyRequest request;
  request.model = "stories260k";
  request.prompts = &prompts;
  request.shortest_batch_input = 2;
  ASSERT_TRUE(evaluator_->Survey(request).ok()) << evaluator_->Survey(request).status();
  request.shortest_batch_input = 1;
  EXPECT_THAT(std::string(evaluator_->Survey(request).status().message()),
              HasSubstr("an input of 1 tokens: expected more than the 1 that the template and the earlier turns of "
                        "prompt long take"));
}

TEST_F(EvaluatorTest, ComparesWithFp16BesideTheVariant) {
  ASSERT_TRUE(Load("fp16").ok());
  const auto itself = evaluator_->CompareWindow(text_, 64, 1);
  ASSERT_TRUE(itself.ok()) << itself.status();
  EXPECT_EQ(itself->positions, 63);
  EXPECT_NEAR(itself->kl_sum, 0, 1e-9);
  EXPECT_EQ(itself->same_top, 63);
  EXPECT_EQ(itself->shared_top, 63 * itself->top_k);
  double last = 0;
  for (const char* variant : {"rtn-w8-channel", "rtn-w4-channel"}) {
    ASSERT_TRUE(Load(variant).ok());
    const auto window = evaluator_->CompareWindow(text_, 64, 1);
    ASSERT_TRUE(window.ok()) << window.status();
    EXPECT_GT(window->kl_sum, last) << "fewer bits diverge further";
    EXPECT_LE(window->same_top, 63);
    last = window->kl_sum;
    // The window is scored as if nothing had stood beside the variant.
    EXPECT_TRUE(evaluator_->ScoreWindow(text_, 64, 1).ok());
  }
  EXPECT_EQ(evaluator_->CompareWindow(text_, 64, 100000).status().code(), absl::StatusCode::kInvalidArgument);
}

// Situation: the variant's worker has no FP16, only the summary that another worker made.
TEST_F(EvaluatorTest, BoundsTheDivergenceFromASummaryAroundTheExactOne) {
  ASSERT_TRUE(Load("fp16").ok());
  std::vector<measure::WindowSummary> summaries;
  for (const int32_t k : {10, 64, 4096}) {
    auto summary = evaluator_->SummarizeWindow(text_, 64, 1, k);
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_EQ(summary->positions, 63);
    summaries.push_back(*std::move(summary));
  }
  EXPECT_EQ(summaries[1].summary_k, 64);
  EXPECT_LT(summaries[2].summary_k, 4096) << "no more than the vocabulary has";
  ASSERT_TRUE(Load("rtn-w4-channel").ok());
  const auto exact = evaluator_->CompareWindow(text_, 64, 1);
  ASSERT_TRUE(exact.ok()) << exact.status();
  EXPECT_EQ(exact->summary_k, 0);
  double width = INFINITY;
  for (const measure::WindowSummary& summary : summaries) {
    const auto bounded = evaluator_->CompareWithSummary(text_, 64, 1, summary.bytes);
    ASSERT_TRUE(bounded.ok()) << bounded.status();
    EXPECT_EQ(bounded->summary_k, summary.summary_k);
    EXPECT_LE(bounded->kl_sum, exact->kl_sum);
    EXPECT_GE(bounded->kl_upper_sum, exact->kl_sum);
    EXPECT_LT(bounded->kl_upper_sum - bounded->kl_sum, width);
    width = bounded->kl_upper_sum - bounded->kl_sum;
    EXPECT_EQ(bounded->same_top, exact->same_top);
    EXPECT_EQ(bounded->top_k, exact->top_k);
    EXPECT_EQ(bounded->shared_top, exact->shared_top);
  }
  EXPECT_LT(width, 63 * 2e-3) << "only rounding is left with the whole vocabulary";
  const auto other = evaluator_->CompareWithSummary(text_, 64, 2, summaries[0].bytes);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(evaluator_->CompareWithSummary(text_, 64, 1, "nonsense").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EvaluatorTest, ScoresArticlesWhole) {
  const std::string raw =
      " = A tale = \n \n Once upon a time , there was a little girl . She had a ball . \n"
      " = Another = \n \n Tom was sad . His @-@ dog @-@ was gone . \n";
  const measure::PromptSet prompts{"promptSets/p", {prompt_}};
  // In two pieces that end in the midst of a word.
  const measure::PromptSet articles{"promptSets/a", {{"0", raw.substr(0, 41), {}}, {"1", raw.substr(41), {}}}};
  measure::SurveyRequest request;
  request.model = "stories260k";
  request.prompts = &prompts;
  request.articles = &articles;
  EXPECT_EQ(evaluator_->Survey(request)->articles, 2);
  request.variants = {{"gptq-w4:text=" + std::string(64, 'a'), &articles}};
  EXPECT_TRUE(evaluator_->Survey(request).ok()) << "no 50 words, so no passage";
  ASSERT_TRUE(Load("fp16").ok());
  for (int i = 0; i < 2; ++i) {
    const auto score = evaluator_->ScoreArticle(articles, 33, i);
    ASSERT_TRUE(score.ok()) << score.status();
    // Every token once, whatever the window.
    EXPECT_EQ(score->scored_tokens, evaluator_->ScoreArticle(articles, 5, i)->scored_tokens);
    EXPECT_GT(score->bytes, score->words);
  }
  EXPECT_EQ(evaluator_->ScoreArticle(articles, 33, 2).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EvaluatorTest, AnswersTasksByGenerationAndByLikelihood) {
  ASSERT_TRUE(Load("fp16").ok());
  measure::Prompt choice{"c", "Once upon a time, there was a little girl named", {}};
  choice.task = measure::Task{};
  choice.task->kind = measure::TaskKind::kChoice;
  choice.task->labels = {"zzqx", "Lily"};
  choice.task->answers = {"Lily"};
  const auto chosen = evaluator_->AnswerTask(choice, {});
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(chosen->answer, "Lily");
  EXPECT_GT(chosen->choice_log_likelihoods[1], chosen->choice_log_likelihoods[0]);
  measure::Prompt open = prompt_;
  open.task = measure::Task{};
  open.task->asked = "Tell a story.";
  open.task->stops = {"."};
  open.task->max_output_tokens = 40;
  const auto told = evaluator_->AnswerTask(open, {});
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_TRUE(told->stopped);
  EXPECT_THAT(told->answer, testing::Not(HasSubstr(".")));
  EXPECT_EQ(told->checks.size(), 5u);
}

TEST_F(EvaluatorTest, SurveysTheLongestTask) {
  measure::PromptSet prompts{"promptSets/p", {prompt_}};
  measure::Prompt task = prompt_;
  task.task = measure::Task{};
  task.task->kind = measure::TaskKind::kNumeric;
  task.task->answers = {"7"};
  task.task->max_output_tokens = 100;
  measure::Prompt longer = task;
  longer.id = "longer";
  for (int i = 0; i < 40; ++i) longer.text += " and she had a red ball";
  measure::PromptSet tasks{"promptSets/q", {task, longer}};
  measure::SurveyRequest request;
  request.model = "stories260k";
  request.prompts = &prompts;
  request.tasks = &tasks;
  const auto all = evaluator_->Survey(request);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->task_items, 2);
  request.max_task_items = 1;
  const auto first = evaluator_->Survey(request);
  ASSERT_TRUE(first.ok());
  EXPECT_GT(all->longest_task_tokens, first->longest_task_tokens);
  tasks.prompts[0].task->max_output_tokens = 600;
  EXPECT_THAT(std::string(evaluator_->Survey(request).status().message()), HasSubstr("fewer --shots"));
}

TEST_F(EvaluatorTest, ReachesAnInputLengthWithARealTokenizer) {
  ASSERT_TRUE(Load("fp16").ok());
  for (const int tokens : {3, 17, 64, 100}) {
    const auto timing = evaluator_->TimePrompt(prompt_, {.input_tokens = tokens, .output_tokens = 2});
    ASSERT_TRUE(timing.ok()) << timing.status();
    EXPECT_EQ(timing->input_tokens, tokens);
  }
}

TEST_F(EvaluatorTest, SaysTheSameEveryTime) {
  ASSERT_TRUE(Load("rtn-w8").ok());
  const auto first = evaluator_->Generate(prompt_, {.max_output_tokens = 20});
  const auto again = evaluator_->Generate(prompt_, {.max_output_tokens = 20});
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first->output_digest, again->output_digest);
}

TEST_F(EvaluatorTest, ScoresPiecesAsOneText) {
  ASSERT_TRUE(Load("fp16").ok());
  measure::PromptSet whole{"promptSets/w", {{"0", JoinPieces(text_), {}}}};
  for (const int window : {0, 5}) {
    const auto pieces = evaluator_->ScoreWindow(text_, 64, window);
    const auto one = evaluator_->ScoreWindow(whole, 64, window);
    ASSERT_TRUE(pieces.ok() && one.ok()) << pieces.status() << one.status();
    EXPECT_EQ(pieces->nll_sum, one->nll_sum);
    EXPECT_EQ(pieces->scored_tokens, 63);
  }
  EXPECT_EQ(evaluator_->ScoreWindow(whole, 64, 100000).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace uaqf::evaluate
