#include "server/core/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace uaqf::core {
namespace {

using ::testing::HasSubstr;

JobSpec Good() {
  JobSpec spec;
  spec.model = "smollm2";
  spec.variants = {"fp16", "rtn-w4-g64"};
  spec.prompt_set = "p";
  return spec;
}

std::string Refusal(const absl::Status& status) { return std::string(status.message()); }

TEST(ValidateSpec, AcceptsTheDefaults) { EXPECT_TRUE(ValidateSpec(Good(), 40, {}).ok()); }

// Each field one step outside its range, and the message that says so.
TEST(ValidateSpec, RefusesEveryFieldOutsideItsRange) {
  struct Case {
    std::function<void(JobSpec*)> spoil;
    const char* message;
  };
  const Case cases[] = {
      {[](JobSpec* s) { s->timing.repeats = 0; }, "timing.repeats is 0, expected 1 to 100"},
      {[](JobSpec* s) { s->timing.repeats = 101; }, "timing.repeats is 101, expected 1 to 100"},
      {[](JobSpec* s) { s->timing.input_tokens = -1; }, "timing.input_tokens is -1"},
      {[](JobSpec* s) { s->timing.max_output_tokens = 4097; }, "timing.max_output_tokens is 4097, expected 1 to 4096"},
      {[](JobSpec* s) { s->timing.block_prompts = 1001; }, "timing.block_prompts is 1001"},
      {[](JobSpec* s) { s->timing.warmup_generations = 11; }, "timing.warmup_generations is 11"},
      {[](JobSpec* s) {
         s->quality.text_set = "t";
         s->quality.context_tokens = 1;
       },
       "quality.context_tokens is 1"},
      {[](JobSpec* s) { s->quality.max_windows = -1; }, "quality.max_windows is -1"},
      {[](JobSpec* s) {
         s->agreement = {-1, 16, {}};
       },
       "agreement.prompts is -1"},
      {[](JobSpec* s) {
         s->agreement = {4, 0, {}};
       },
       "agreement.output_tokens is 0, expected 1 to 256"},
      {[](JobSpec* s) {
         s->agreement = {4, 257, {}};
       },
       "agreement.output_tokens is 257, expected 1 to 256"},
      {[](JobSpec* s) {
         s->timing.max_output_tokens = 32;
         s->agreement = {4, 33, {}};
       },
       "agreement.output_tokens is 33, expected 1 to 32"},
      {[](JobSpec* s) {
         s->agreement = {4, 16, {1}};
       },
       "agreement.batch_sizes has 1, expected sizes of 2 to 32"},
      {[](JobSpec* s) {
         s->agreement = {4, 16, {8, 33}};
       },
       "agreement.batch_sizes has 8, 33"},
      {[](JobSpec* s) {
         s->agreement = {4, 16, {8, 8}};
       },
       "agreement.batch_sizes has 8, 8"},
      {[](JobSpec* s) { s->attempt_limit = 1001; }, "attempt_limit is 1001, expected 1 to 1000"},
      {[](JobSpec* s) { s->lease_ns = 999'999'999; }, "expected 1 s to 3600 s"},
      {[](JobSpec* s) { s->lease_ns = 3'600'000'000'001; }, "expected 1 s to 3600 s"},
      {[](JobSpec* s) { s->model.clear(); }, "model has 0 characters"},
      {[](JobSpec* s) { s->variants.clear(); }, "the number of variants is 0"},
      {[](JobSpec* s) { s->variants.push_back("fp16"); }, "variant \"fp16\" is named twice"},
      {[](JobSpec* s) { s->variants = {"rtn-w4"}; }, "MATCHED needs fp16 among the variants, got rtn-w4: add fp16"},
  };
  for (const Case& c : cases) {
    JobSpec spec = Good();
    c.spoil(&spec);
    const absl::Status status = ValidateSpec(spec, 40, {});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.message;
    EXPECT_THAT(Refusal(status), HasSubstr(c.message));
  }
}

TEST(ValidateSpec, NeedsNoBaselineWhenLengthsAreFixed) {
  JobSpec spec = Good();
  spec.variants = {"rtn-w4"};
  spec.timing.output_length = OutputLength::kFixed;
  EXPECT_TRUE(ValidateSpec(spec, 40, {}).ok());
}

TEST(ValidateSpec, RefusesJobsBeyondTheLimits) {
  JobSpec spec = Good();
  Limits limits;
  limits.max_records = 100;
  EXPECT_THAT(Refusal(ValidateSpec(spec, 40, limits)), HasSubstr("would make 320 records, expected at most 100"));
  limits = {};
  limits.max_chunks = 10;
  EXPECT_THAT(Refusal(ValidateSpec(spec, 40, limits)), HasSubstr("would have 40 chunks, expected at most 10"));
  EXPECT_THAT(Refusal(ValidateSpec(spec, 0, {})), HasSubstr("no prompts"));
}

class ValidateAgainstModelsTest : public ::testing::Test {
 protected:
  ValidateAgainstModelsTest() {
    model_.model = "smollm2";
    model_.variants = {
        {"fp16", "", true, ""},
        {"rtn-w4-g64", "", true, ""},
        {"rtn-w4-g128", "", false, "group size 128 does not divide input dimension 576 (layer 0 q_proj)"}};
  }
  absl::Status Check(const JobSpec& spec) { return ValidateAgainstModels(spec, {&model_}); }

  ModelInfo model_;
};

TEST_F(ValidateAgainstModelsTest, AcceptsVariantsThatFit) { EXPECT_TRUE(Check(Good()).ok()); }

TEST_F(ValidateAgainstModelsTest, NamesTheModelsThereAre) {
  JobSpec spec = Good();
  spec.model = "llama";
  const absl::Status status = Check(spec);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(Refusal(status), HasSubstr("no worker has the model \"llama\"; the connected workers have: smollm2"));
  EXPECT_THAT(Refusal(ValidateAgainstModels(spec, {})), HasSubstr("the connected workers have: none"));
}

TEST_F(ValidateAgainstModelsTest, NamesTheKnownVariants) {
  JobSpec spec = Good();
  spec.variants = {"fp16", "rtn-w5"};
  const absl::Status status = Check(spec);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(Refusal(status), "unknown variant \"rtn-w5\"\n  known: fp16, rtn-w4-g64, rtn-w4-g128");
}

TEST_F(ValidateAgainstModelsTest, KnowsAVariantWithOptions) {
  JobSpec spec = Good();
  spec.variants = {"fp16", "rtn-w4-g64:option=1:other=2"};
  EXPECT_TRUE(Check(spec).ok());
  spec.variants = {"fp16", "rtn-w4-g128:option=1"};
  EXPECT_THAT(Refusal(Check(spec)), HasSubstr("rtn-w4-g128:option=1 does not fit smollm2"));
  spec.variants = {"fp16", "rtn-w4-g64x"};
  EXPECT_THAT(Refusal(Check(spec)), HasSubstr("unknown variant \"rtn-w4-g64x\""));
}

TEST_F(ValidateAgainstModelsTest, SaysWhyAVariantDoesNotFitAndWhichDo) {
  JobSpec spec = Good();
  spec.variants = {"fp16", "rtn-w4-g128"};
  EXPECT_EQ(Refusal(Check(spec)),
            "rtn-w4-g128 does not fit smollm2: group size 128 does not divide input dimension 576 (layer 0 q_proj)\n"
            "  fits: fp16, rtn-w4-g64");
}

TEST_F(ValidateAgainstModelsTest, AcceptsWhatFitsOnAnyWorker) {
  ModelInfo other = model_;
  other.variants[2].fits = true;
  JobSpec spec = Good();
  spec.variants = {"fp16", "rtn-w4-g128"};
  EXPECT_TRUE(ValidateAgainstModels(spec, {&model_, &other}).ok());
}

TEST(ValidateSpec, RefusesACalibrationOnTheTextThatIsScored) {
  JobSpec spec = Good();
  spec.quality.text_set = std::string(64, 'a');
  spec.variants = {"fp16", "gptq-w4:samples=2:text=" + std::string(64, 'a') + ":seed=1"};
  EXPECT_EQ(CalibrationText(spec.variants[1]), std::string(64, 'a'));
  const absl::Status status = ValidateSpec(spec, 10, Limits{});
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(Refusal(status), HasSubstr("which is the text that is scored (quality.text_set), expected another one"));
  EXPECT_THAT(Refusal(status), HasSubstr(spec.variants[1]));
  spec.quality.article_set = std::string(64, 'c');
  spec.variants[1] = "gptq-w4:text=" + std::string(64, 'c');
  EXPECT_THAT(Refusal(ValidateSpec(spec, 10, Limits{})), HasSubstr("(quality.article_set)"));
  spec.variants[1] = "gptq-w4:text=" + std::string(64, 'b');
  EXPECT_TRUE(ValidateSpec(spec, 10, Limits{}).ok());
  spec.variants[1] = "gptq-w4";
  EXPECT_EQ(CalibrationText(spec.variants[1]), "");
  EXPECT_TRUE(ValidateSpec(spec, 10, Limits{}).ok());
}

TEST(ValidateSurvey, ChecksInputsAndTextAgainstTheContext) {
  JobSpec spec = Good();
  Survey survey;
  survey.longest_input_tokens = 1600;
  EXPECT_TRUE(ValidateSurvey(spec, survey, 0).ok());
  EXPECT_TRUE(ValidateSurvey(spec, survey, 2112).ok());
  EXPECT_THAT(Refusal(ValidateSurvey(spec, survey, 2111)),
              HasSubstr("the longest input has 1600 tokens and 512 may be emitted, expected at most 2111 together"));
  spec.quality.article_set = "a";
  spec.quality.context_tokens = 1024;
  EXPECT_THAT(Refusal(ValidateSurvey(spec, survey, 8192)), HasSubstr("no articles in quality.article_set"));
  survey.articles = 1;
  EXPECT_TRUE(ValidateSurvey(spec, survey, 8192).ok());
  spec.quality.article_set = "";
  spec.quality.text_set = "t";
  spec.quality.context_tokens = 4096;
  EXPECT_THAT(Refusal(ValidateSurvey(spec, survey, 2200)),
              HasSubstr("quality.context_tokens is 4096, expected at most 2200"));
  survey.text_tokens = 100;
  EXPECT_THAT(Refusal(ValidateSurvey(spec, survey, 8192)),
              HasSubstr("the text has 100 tokens, expected at least one window of 4096"));
  survey.error = "unknown chat template";
  EXPECT_EQ(Refusal(ValidateSurvey(spec, survey, 8192)), "unknown chat template");
}

}  // namespace
}  // namespace uaqf::core
