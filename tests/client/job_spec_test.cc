#include "client/job_spec.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "client/json.h"
#include "client/profile_flags.h"

namespace uaqf::client {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

JobFlags Complete() {
  JobFlags flags;
  flags.model = "smollm2-135m-instruct";
  flags.variants = {"fp16", "rtn-w4-g64"};
  flags.prompts = "demo";
  return flags;
}

std::string Refusal(const JobFlags& flags, const std::string& json = "") {
  const auto spec = BuildJobSpec(flags, json);
  EXPECT_TRUE(absl::IsInvalidArgument(spec.status())) << spec.status();
  return std::string(spec.status().message());
}

TEST(JobSpec, CarriesEveryFlag) {
  JobFlags flags = Complete();
  flags.repeats = 5;
  flags.input_tokens = 100;
  flags.max_output_tokens = 32;
  flags.output_length = "fixed";
  flags.block = 4;
  flags.warmup = 0;
  flags.chat = true;
  flags.keep_cache = true;
  flags.quality_text = "prose";
  flags.context = 512;
  flags.windows = 15;
  flags.seed = 7;
  flags.lease = "1m30s";
  flags.attempts = 100;
  const auto spec = BuildJobSpec(flags, "");
  ASSERT_TRUE(spec.ok()) << spec.status();
  v1::JobSpec expected;
  ASSERT_TRUE(FromJson(R"({"model": "smollm2-135m-instruct", "variants": ["fp16", "rtn-w4-g64"], "prompt_set": "demo",
    "timing": {"repeats": 5, "input_tokens": 100, "max_output_tokens": 32, "output_length": "OUTPUT_LENGTH_FIXED",
               "block_prompts": 4, "warmup_generations": 0, "chat": true, "clear_cache": false},
    "quality": {"text_set": "prose", "context_tokens": 512, "max_windows": 15},
    "seed": 7, "lease_duration": "90s", "attempt_limit": 100})",
                       "expected", &expected)
                  .ok());
  EXPECT_TRUE(MessageDifferencer::Equals(*spec, expected)) << spec->DebugString();
}

TEST(JobSpec, AsksForAgreement) {
  JobFlags flags = Complete();
  flags.agreement = 16;
  ASSERT_TRUE(BuildJobSpec(flags, "").ok());
  EXPECT_EQ(BuildJobSpec(flags, "")->agreement().prompts(), 16);
  EXPECT_TRUE(BuildJobSpec(flags, "")->agreement().batch_sizes().empty()) << "the coordinator's to choose";
  flags.agreement_tokens = 32;
  flags.agreement_batches = {"4", "16"};
  const auto spec = BuildJobSpec(flags, "");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->agreement().output_tokens(), 32);
  EXPECT_THAT(spec->agreement().batch_sizes(), ElementsAre(4, 16));
  flags.agreement_batches = {"none"};
  EXPECT_TRUE(BuildJobSpec(flags, "")->agreement().no_batches());
  flags.agreement_batches = {"many"};
  EXPECT_THAT(Refusal(flags), HasSubstr("got the batch size \"many\""));
  flags.agreement_batches = {"8"};
  flags.agreement.reset();
  EXPECT_THAT(Refusal(flags), HasSubstr("without --agreement"));
  flags.agreement = 0;
  EXPECT_THAT(Refusal(flags), HasSubstr("got --agreement 0, expected 1 or more"));
}

// What was not said is the coordinator's to fill in: a default of this program would hide a better one there.
TEST(JobSpec, LeavesDefaultsToTheCoordinator) {
  const auto spec = BuildJobSpec(Complete(), "");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->timing().ByteSizeLong(), 0u);
  EXPECT_FALSE(spec->has_quality());
  EXPECT_FALSE(spec->has_lease_duration());
}

TEST(JobSpec, SurvivesTheRoundThroughJson) {
  JobFlags flags = Complete();
  flags.quality_text = "prose";
  flags.lease = "500ms";
  flags.warmup = 0;
  const auto spec = BuildJobSpec(flags, "");
  ASSERT_TRUE(spec.ok());
  JobFlags only_file;
  only_file.spec_file = "job.json";
  const auto again = BuildJobSpec(only_file, ToJson(*spec));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(MessageDifferencer::Equals(*spec, *again)) << again->DebugString();
}

TEST(JobSpec, LetsFlagsWinOverTheFile) {
  JobFlags flags;
  flags.variants = {"fp16"};
  flags.seed = 2;
  const auto spec = BuildJobSpec(
      flags, R"({"model": "m", "variants": ["fp16", "rtn-w8"], "promptSet": "demo", "seed": 1, "attemptLimit": 9})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->variants(), ElementsAre("fp16"));
  EXPECT_EQ(spec->seed(), 2u);
  EXPECT_EQ(spec->attempt_limit(), 9);
}

TEST(JobSpec, TellsWhatIsWrongInTheFile) {
  JobFlags flags;
  flags.spec_file = "job.json";
  EXPECT_THAT(Refusal(flags, "{\"modell\": \"m\"}"), HasSubstr("cannot read job.json as uaqf.v1.JobSpec"));
  EXPECT_THAT(Refusal(flags, "{\"modell\": \"m\"}"), HasSubstr("modell"));
  EXPECT_THAT(Refusal(flags, "{\"seed\": \"x\"}"), HasSubstr("seed"));
  EXPECT_THAT(Refusal(flags, "{"), HasSubstr("job.json"));
}

TEST(JobSpec, SaysWhatIsMissing) {
  JobFlags flags = Complete();
  flags.model.reset();
  EXPECT_THAT(Refusal(flags), HasSubstr("got no --model"));
  flags = Complete();
  flags.variants.clear();
  EXPECT_THAT(Refusal(flags), HasSubstr("got no --variants"));
  flags = Complete();
  flags.prompts.reset();
  EXPECT_THAT(Refusal(flags), HasSubstr("got no --prompts"));
  flags = Complete();
  flags.windows = 3;
  EXPECT_THAT(Refusal(flags), HasSubstr("without --quality-text"));
}

TEST(JobSpec, CarriesTasksAndTheComparisonWithFp16) {
  JobFlags flags = Complete();
  flags.quality_text = "prose";
  flags.divergence = true;
  flags.tasks = "gsm8k";
  flags.task_items = 40;
  const auto spec = BuildJobSpec(flags, "");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->quality().divergence());
  EXPECT_EQ(spec->quality().divergence_mode(), v1::DIVERGENCE_MODE_UNSPECIFIED) << "the coordinator's default";
  flags.divergence = false;
  flags.divergence_mode = "streamed";
  EXPECT_TRUE(BuildJobSpec(flags, "")->quality().divergence());
  EXPECT_EQ(BuildJobSpec(flags, "")->quality().divergence_mode(), v1::DIVERGENCE_MODE_STREAMED);
  flags.variants = {"rtn-w4"};
  EXPECT_THAT(Refusal(flags), HasSubstr("streamed without fp16 among --variants"));
  flags.divergence_mode = "guessed";
  EXPECT_THAT(Refusal(flags), HasSubstr("expected auto, exact or streamed"));
  flags.divergence_mode = std::nullopt;
  flags.divergence = true;
  EXPECT_EQ(spec->quality().task_set(), "gsm8k");
  EXPECT_EQ(spec->quality().max_task_items(), 40);
  flags.quality_text.reset();
  EXPECT_THAT(Refusal(flags), HasSubstr("--divergence without --quality-text"));
  flags = Complete();
  flags.task_items = 3;
  EXPECT_THAT(Refusal(flags), HasSubstr("--task-items without --tasks"));
  flags.task_items = std::nullopt;
  flags.articles = 3;
  EXPECT_THAT(Refusal(flags), HasSubstr("--articles without --wikitext"));
  flags.wikitext = "wiki";
  EXPECT_EQ(BuildJobSpec(flags, "")->quality().article_set(), "wiki");
  EXPECT_EQ(BuildJobSpec(flags, "")->quality().max_articles(), 3);
  flags.task_items = 0;
  EXPECT_THAT(Refusal(flags), HasSubstr("got --task-items 0"));
}

// A 0 on the wire means "not given", and would quietly become the default.
TEST(JobSpec, RefusesAZeroThatWouldBecomeADefault) {
  JobFlags flags = Complete();
  flags.repeats = 0;
  EXPECT_THAT(Refusal(flags), HasSubstr("got --repeats 0, expected 1 to 100"));
  flags = Complete();
  flags.attempts = -1;
  EXPECT_THAT(Refusal(flags), HasSubstr("got --attempts -1"));
}

TEST(Duration, IsReadWithUnitsOrAsSeconds) {
  EXPECT_EQ(ParseDuration("30s")->seconds(), 30);
  EXPECT_EQ(ParseDuration("1")->seconds(), 1);
  EXPECT_EQ(ParseDuration("500ms")->nanos(), 500'000'000);
  for (const char* bad : {"", "soon", "-1s", "0", "inf", "nan"}) EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
}

TEST(ProfileFlags, BecomeAnInlineProfile) {
  ProfileFlags flags;
  flags.weights = "speed=.4, quality=.4,stability=.2";
  const auto profile = BuildProfile(flags);
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->formula(), v1::UTILITY_FORMULA_FULL);
  EXPECT_EQ(profile->normalization(), v1::NORMALIZATION_BASELINE);
  EXPECT_DOUBLE_EQ(profile->weights().speed(), .4);
  EXPECT_DOUBLE_EQ(profile->weights().memory(), 0);
  EXPECT_DOUBLE_EQ(profile->max_delta_nll(), .3) << "our formula is constrained";
}

TEST(ProfileFlags, LeaveThePapersFormulasLiteral) {
  ProfileFlags flags;
  flags.weights = "speed=.5,quality=.5";
  flags.formula = "regime";
  const auto profile = BuildProfile(flags);
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(profile->normalization(), v1::NORMALIZATION_MINMAX);
  EXPECT_FALSE(profile->has_max_delta_nll());
}

TEST(ProfileFlags, RefuseWhatIsNoWeight) {
  for (const char* bad : {"", "speed", "speed=fast", "sped=1", "speed=.5,speed=.5"}) {
    ProfileFlags flags;
    flags.weights = bad;
    EXPECT_TRUE(absl::IsInvalidArgument(BuildProfile(flags).status())) << bad;
  }
}

}  // namespace
}  // namespace uaqf::client
