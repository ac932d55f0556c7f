// `uaqf` on jobs that come from elsewhere, and on several at once.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "proto/wire/status.h"
#include "tests/client/cli_fixture.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;

constexpr char kTable[] =
    "variant,latency_ms,throughput_tokens_per_s,perplexity_change,memory_gb\n"
    "FP16,1280,38.2,0,13.5\nAtom 4-bit,768,63.1,+0.49,4.9\n";

TEST_F(Cli, ImportsAPublishedTable) {
  const Outcome text = Uaqf({"jobs", "import", File("table7.csv", kTable)});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out,
            "job       jobs/imported   imported\n"
            "table     table7\n"
            "variants  fp16, Atom 4-bit\n"
            "baseline  fp16 is the row FP16\n");
  const Outcome piped =
      Uaqf({"jobs", "import", "-", "--name", "Table 7", "--output", "json"}, ProgramRun::Where::kPipes, {}, kTable);
  ASSERT_EQ(piped.code, 0) << piped.err;
  const auto json = nlohmann::json::parse(piped.out);
  EXPECT_EQ(json["imported"]["title"], "Table 7");
  EXPECT_EQ(json["imported"]["variants"][1]["variant"], "Atom 4-bit");
  EXPECT_EQ(json["imported"]["variants"][1]["tokens_per_s"], 63.1);
}

TEST_F(Cli, RefusesABadTableWithFileAndLine) {
  const std::string bad = File("bad.csv", std::string(kTable) + "RTN,fast,1,0,1\n");
  const Outcome outcome = Uaqf({"jobs", "import", bad});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("bad.csv:4: got latency_ms = \"fast\""));
  EXPECT_EQ(Uaqf({"jobs", "import", File("t.csv", kTable), "--baseline", "none"}).code, 2);
  EXPECT_EQ(Uaqf({"jobs", "import", "nowhere.csv"}).code, 1);
}

TEST_F(Cli, ComparesTwoJobs) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  coordinator_.Add(SampleJob("jobs/a2b3c4", 360));
  coordinator_.With([](FakeState& state) {
    v1::ComparedVariant& variant = *state.comparison.add_variants();
    variant.set_variant("fp16");
    variant.set_prompts(40);
    variant.mutable_speed_ratio()->set_value(.97);
    variant.mutable_speed_ratio()->mutable_interval()->set_low(.96);
    variant.mutable_speed_ratio()->mutable_interval()->set_high(.98);
    variant.set_speed_differs(true);
  });
  const Outcome text = Uaqf({"jobs", "compare", "k7", "a2"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("jobs/a2b3c4 against jobs/k7f2m9"));
  EXPECT_THAT(text.out, HasSubstr("slower"));
  const auto json = nlohmann::json::parse(Uaqf({"jobs", "compare", "k7", "a2", "--output", "json"}).out);
  EXPECT_EQ(json["variants"][0]["speed_ratio"]["value"], .97);
  EXPECT_THAT(Uaqf({"jobs", "compare", "k7", "a2", "--output", "csv"}).out, HasSubstr("\nfp16,40,0,0.97,0.96,0.98,"));
}

TEST_F(Cli, SaysWhyTwoJobsCannotBeCompared) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  coordinator_.Add(SampleJob("jobs/a2b3c4", 360));
  coordinator_.With([](FakeState& state) {
    state.failures["CompareJobs"] = wire::Error(
        absl::StatusCode::kFailedPrecondition, "NOT_COMPARABLE",
        "jobs/k7f2m9 and jobs/a2b3c4 cannot be compared:\ndriver: 550.1 and 555.2; a driver has its own speed");
  });
  const Outcome outcome = Uaqf({"jobs", "compare", "k7", "a2"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("cannot be compared:\n  driver: 550.1 and 555.2"));
}

TEST_F(Cli, TellsTheTrendOverModels) {
  for (const char* name : {"jobs/k7f2m9", "jobs/a2b3c4", "jobs/b5c6d7"}) coordinator_.Add(SampleJob(name, 360));
  coordinator_.With([](FakeState& state) {
    v1::MeasuredModel& model = *state.models.add_models();
    model.set_job("jobs/a2b3c4");
    model.set_model("small");
    model.set_parameters(135'000'000);
    model.add_variants()->set_variant("rtn-w4");
    model.mutable_variants(0)->mutable_speedup()->set_value(1.5);
    v1::VariantTrend& trend = *state.models.add_trends();
    trend.set_variant("rtn-w4");
    trend.mutable_speed()->set_slope(1);
    trend.mutable_speed()->mutable_interval()->set_low(.5);
    trend.mutable_speed()->mutable_interval()->set_high(1.5);
    trend.mutable_speed()->set_models(3);
  });
  const Outcome text = Uaqf({"jobs", "trend", "k7", "a2", "b5"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("rtn-w4: larger models gain more speed"));
  coordinator_.With([](FakeState& state) {
    EXPECT_THAT(state.last_models.jobs(), testing::ElementsAre("jobs/k7f2m9", "jobs/a2b3c4", "jobs/b5c6d7"));
  });
  const auto json = nlohmann::json::parse(Uaqf({"jobs", "trend", "k7", "a2", "--output", "json"}).out);
  EXPECT_EQ(json["trends"][0]["speed"]["slope"], 1);
  EXPECT_FALSE(json["models"][0]["variants"][0].contains("nll_loss")) << "not measured is not zero";
  EXPECT_THAT(Uaqf({"jobs", "trend", "k7", "a2", "--output", "csv"}).out,
              HasSubstr("\nrtn-w4,jobs/a2b3c4,small,135000000,,1.5,"));
}

TEST_F(Cli, SaysWhyModelsCannotBeCompared) {
  for (const char* name : {"jobs/k7f2m9", "jobs/a2b3c4"}) coordinator_.Add(SampleJob(name, 360));
  coordinator_.With([](FakeState& state) {
    state.failures["CompareModels"] = wire::Error(absl::StatusCode::kFailedPrecondition, "SAME_MODEL",
                                                  "jobs/k7f2m9 and jobs/a2b3c4 measured one model (m)");
  });
  const Outcome outcome = Uaqf({"jobs", "trend", "k7", "a2"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("measured one model"));
  EXPECT_EQ(Uaqf({"jobs", "trend", "k7"}).code, 2) << "one job has no trend";
  EXPECT_EQ(Uaqf({"jobs", "trend", "k7", "nobody"}).code, 1);
}

TEST_F(Cli, RanksTheVariantsOfSeveralJobs) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  coordinator_.Add(SampleJob("jobs/a2b3c4", 360));
  coordinator_.With([](FakeState& state) { state.ranking.add_more_jobs("jobs/a2b3c4"); });
  const Outcome outcome = Uaqf({"rank", "k7", "a2", "--profile", "balanced"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("variants of jobs/k7f2m9 and of jobs/a2b3c4, against fp16 of the first\n"));
  coordinator_.With([](FakeState& state) {
    EXPECT_EQ(state.last_rank.job(), "jobs/k7f2m9");
    ASSERT_EQ(state.last_rank.more_jobs_size(), 1);
    EXPECT_EQ(state.last_rank.more_jobs(0), "jobs/a2b3c4");
  });
}

}  // namespace
}  // namespace uaqf::client
