// `uaqf` as it is run: what is printed where, and with which exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/failure.h"
#include "proto/wire/status.h"
#include "tests/client/cli_fixture.h"

namespace uaqf::client {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kTerminal = ProgramRun::Where::kTerminal;

TEST_F(Cli, SaysWithinTwoSecondsThatThereIsNoCoordinator) {
  coordinator_.Stop();
  const auto begun = std::chrono::steady_clock::now();
  const Outcome outcome = Uaqf({"workers"});
  // The two seconds, and what a loaded machine takes to start a program.
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(3500));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(
      outcome.err,
      absl::StrCat("error: no coordinator at ", coordinator_.address(),
                   " (connection refused, tried 2 s)\n"
                   "  start one: uaqf-server --insecure-dev    or name another: --server HOST:PORT, UAQF_SERVER\n"));
}

TEST_F(Cli, TellsUsageErrorsOnStandardErrorWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"wrokers"},
                                             {"jobs"},
                                             {"jobs", "show"},
                                             {"workers", "--output", "xml"},
                                             {"jobs", "submit", "--repeats", "many"},
                                             {"jobs", "submit", "--model", "m"},
                                             {"jobs", "watch", "x", "--output", "csv"},
                                             {"rank", "x", "--weights", "speed"},
                                             {"rank", "x", "--profile", "balanced", "--weights", "speed=1"},
                                             {"rank", "x", "--formula", "full"},
                                             {"rank", "x", "--max", "speed=2"},
                                             {"rank", "x", "--by", "letter"},
                                             {"prompts", "import"},
                                             {"workers", "--server", "nowhere"}}) {
    const Outcome outcome = Uaqf(arguments);
    EXPECT_EQ(outcome.code, 2) << absl::StrCat(arguments.size(), " ", outcome.out, outcome.err);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, StartsWith("error: "));
  }
  EXPECT_THAT(Uaqf({"wrokers"}).err, HasSubstr("got the command \"wrokers\", expected one of prompts, jobs, rank"));
}

TEST_F(Cli, HelpsWithAnExampleForEveryCommand) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"prompts"},
                                             {"prompts", "import"},
                                             {"prompts", "import", "gsm8k"},
                                             {"prompts", "build"},
                                             {"prompts", "build", "synthetic"},
                                             {"prompts", "build", "paper-suite"},
                                             {"prompts", "list"},
                                             {"jobs"},
                                             {"jobs", "submit"},
                                             {"jobs", "list"},
                                             {"jobs", "show"},
                                             {"jobs", "watch"},
                                             {"jobs", "records"},
                                             {"jobs", "configurations"},
                                             {"jobs", "cancel"},
                                             {"jobs", "compare"},
                                             {"jobs", "trend"},
                                             {"jobs", "import"},
                                             {"rank"},
                                             {"profiles"},
                                             {"profiles", "list"},
                                             {"profiles", "show"},
                                             {"profiles", "create"},
                                             {"profiles", "delete"},
                                             {"workers"},
                                             {"variants"},
                                             {"version"},
                                             {"completion"}}) {
    std::vector<std::string> arguments = command;
    arguments.push_back("--help");
    const Outcome outcome = Uaqf(arguments);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out, HasSubstr("example:\n  ")) << arguments[0];
  }
}

TEST_F(Cli, ImportsPromptsOnce) {
  const std::string file = TwoPrompts();
  const Outcome first = Uaqf({"prompts", "import", file, "--name", "demo"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, StartsWith("prompts   2 in 2 categories, uploaded as demo (sha256 "));
  const Outcome again = Uaqf({"prompts", "import", file, "--name", "again"});
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.out, HasSubstr("already on the server as demo"));
  EXPECT_THAT(again.err, HasSubstr("the same content is stored as \"demo\""));
  const Outcome taken = Uaqf({"prompts", "import", file, "--take", "1", "--output", "json"});
  EXPECT_EQ(nlohmann::json::parse(taken.out)["prompt_count"], 1);
  EXPECT_EQ(nlohmann::json::parse(taken.out)["display_name"], "two");
}

TEST_F(Cli, ImportsTextsVerbatimAndFromStandardInput) {
  const std::string text(300'000, 'x');
  EXPECT_EQ(Uaqf({"prompts", "import", File("prose.txt", text)}).code, 0);
  coordinator_.With([&](FakeState& state) {
    ASSERT_EQ(state.sets.size(), 1u);
    EXPECT_EQ(state.sets[0].kind(), v1::PROMPT_SET_KIND_TEXT);
    EXPECT_EQ(state.items[state.sets[0].name()].size(), 2u);
  });
  const Outcome piped =
      Uaqf({"prompts", "import", "-", "--kind", "text", "--name", "piped"}, ProgramRun::Where::kPipes, {}, "a\n");
  EXPECT_EQ(piped.code, 0) << piped.err;
  coordinator_.With([](FakeState& state) { EXPECT_EQ(state.items[state.sets[0].name()][0].text(), "a\n"); });
}

TEST_F(Cli, SaysWhatIsWrongWithTheFlagsOfAnImport) {
  const std::string file = TwoPrompts();
  const Outcome none = Uaqf({"prompts", "import", file, "--take", "0"});
  EXPECT_EQ(none.code, 2);
  EXPECT_EQ(none.err, "error: got --take 0, expected 1 or more: leave it out for all prompts\n");
  const Outcome name = Uaqf({"prompts", "import", file, "--name", "caf\xe9"});
  EXPECT_EQ(name.code, 2);
  EXPECT_EQ(name.err, "error: got the name \"caf?\" with bytes that are not UTF-8, expected UTF-8\n");
}

TEST_F(Cli, RefusesBadPromptFilesWithFileAndLine) {
  const std::string file = File("bad.jsonl", "{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \"a\"}\n");
  const Outcome outcome = Uaqf({"prompts", "import", file});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            absl::StrCat("error: ", file, ":2: got neither \"text\" nor \"messages\", expected one of them\n"));
  EXPECT_EQ(Uaqf({"prompts", "import", "/no/such"}).code, 1);
}

TEST_F(Cli, SubmitsByFlagsAndFindsSetsByLabelDigestAndFile) {
  const std::string file = TwoPrompts();
  const std::string text = File("prose.txt", "some prose");
  const Outcome first = Uaqf({"jobs", "submit", "--model", "m", "--variants", "fp16,rtn-w8", "--prompts", file,
                              "--quality-text", text, "--windows", "3"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("prompts   2 in 2 categories, uploaded as two"));
  EXPECT_THAT(first.out, HasSubstr("text      "));
  EXPECT_THAT(first.out, HasSubstr("2 variants x 2 prompts x 3 repeats = 12 timed generations, 3 windows of text"));
  EXPECT_THAT(first.out, Not(HasSubstr("next:"))) << "hints are for terminals";
  const Outcome second =
      Uaqf({"jobs", "submit", "--model", "m", "--variants", "fp16", "--prompts", "two", "--output", "json"});
  ASSERT_EQ(second.code, 0) << second.err;
  const auto job = nlohmann::json::parse(second.out);
  EXPECT_THAT(job["name"].get<std::string>(), StartsWith("jobs/"));
  const std::string digest = job["spec"]["prompt_set"].get<std::string>().substr(11, 8);
  const Outcome third =
      Uaqf({"jobs", "submit", "--model", "m", "--variants", "fp16", "--prompts", digest, "--output", "json"});
  EXPECT_EQ(nlohmann::json::parse(third.out)["spec"]["prompt_set"], job["spec"]["prompt_set"]);
  const Outcome none = Uaqf({"jobs", "submit", "--model", "m", "--variants", "fp16", "--prompts", "nosuch"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("no set of kind prompts and no file named \"nosuch\""));
}

TEST_F(Cli, SubmitsTheSpecItPrints) {
  const Outcome dry = Uaqf({"jobs", "submit", "--model", "m", "--variants", "fp16,rtn-w8", "--prompts", TwoPrompts(),
                            "--seed", "18446744073709551615", "--lease", "1s", "--dry-run"});
  ASSERT_EQ(dry.code, 0) << dry.err;
  const Outcome sent = Uaqf({"jobs", "submit", "--spec", File("job.json", dry.out), "--output", "json"});
  ASSERT_EQ(sent.code, 0) << sent.err;
  const auto spec = nlohmann::json::parse(sent.out)["spec"];
  EXPECT_EQ(spec["seed"], "18446744073709551615");
  EXPECT_EQ(spec["lease_duration"], "1s");
  EXPECT_EQ(spec["variants"].size(), 2u);
}

TEST_F(Cli, SubmitsOnWhatCalibratedVariantsAreCalibrated) {
  coordinator_.With([](FakeState& state) {
    for (const char* name : {"fp16", "rtn-w4", "gptq-w4", "awq-w4-g64"}) {
      v1::VariantInfo& variant = *state.variants.add_variants();
      variant.set_variant(name);
      variant.set_calibrated(name[0] == 'g' || name[0] == 'a');
    }
  });
  const std::string text = File("calibration.txt", "Words to calibrate on.\n");
  std::vector<std::string> submit = {"jobs", "submit", "--model", "m", "--prompts", TwoPrompts(), "--output", "json"};
  const auto with = [&submit](std::vector<std::string> more) {
    more.insert(more.begin(), submit.begin(), submit.end());
    return more;
  };
  const Outcome sent = Uaqf(with({"--variants", "fp16,rtn-w4,gptq-w4,awq-w4-g64:samples=2", "--calibration-text", text,
                                  "--calibration-samples", "16", "--calibration-length", "512"}));
  ASSERT_EQ(sent.code, 0) << sent.err;
  const auto variants = nlohmann::json::parse(sent.out)["spec"]["variants"];
  EXPECT_EQ(variants[1], "rtn-w4");
  const std::string gptq = variants[2];
  EXPECT_THAT(gptq, StartsWith("gptq-w4:samples=16:length=512:text="));
  const std::string digest = gptq.substr(gptq.size() - 64);
  EXPECT_EQ(digest.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(variants[3], "awq-w4-g64:samples=2:length=512:text=" + digest);
  // A label behind the variant itself.
  const Outcome labelled = Uaqf(with({"--variants", "gptq-w4:text=calibration:seed=3"}));
  EXPECT_EQ(nlohmann::json::parse(labelled.out)["spec"]["variants"][0], "gptq-w4:text=" + digest + ":seed=3");

  const Outcome none = Uaqf(with({"--variants", "fp16,rtn-w4", "--calibration-samples", "16"}));
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("none of the variants is calibrated, expected one of awq-w4-g64, gptq-w4"));
  const Outcome dry = Uaqf(with({"--variants", "gptq-w4", "--calibration-samples", "16", "--dry-run"}));
  EXPECT_EQ(dry.code, 2);
  EXPECT_THAT(dry.err, HasSubstr("gptq-w4:samples=16:text=SET"));
}

TEST_F(Cli, SubmitsOnceForOneRequestId) {
  const std::vector<std::string> submit = {"jobs",      "submit",     "--model",  "m",    "--variants",   "fp16",
                                           "--prompts", TwoPrompts(), "--output", "json", "--request-id", "r1"};
  const auto first = nlohmann::json::parse(Uaqf(submit).out);
  const auto again = nlohmann::json::parse(Uaqf(submit).out);
  EXPECT_EQ(first["name"], again["name"]);
}

TEST_F(Cli, PassesOnWhatTheCoordinatorRefuses) {
  coordinator_.With([](FakeState& state) {
    state.failures["CreateJob"] =
        wire::Error(absl::StatusCode::kInvalidArgument, "VARIANT_DOES_NOT_FIT",
                    "rtn-w4-g128 does not fit m: group size 128 does not divide input dimension 576\nfits: rtn-w4-g64");
  });
  const Outcome outcome =
      Uaqf({"jobs", "submit", "--model", "m", "--variants", "rtn-w4-g128", "--prompts", TwoPrompts()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            "error: rtn-w4-g128 does not fit m: group size 128 does not divide input dimension 576\n"
            "  fits: rtn-w4-g64\n");
}

TEST_F(Cli, ShowsAJobWithItsMeasures) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  const Outcome table = Uaqf({"jobs", "show", "k7f"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, StartsWith("job       jobs/k7f2m9   running   360/360 records\n"));
  EXPECT_THAT(table.out, HasSubstr("\nrtn-w8-channel      1.204  0.009"));
  const auto json = nlohmann::json::parse(Uaqf({"jobs", "show", "k7f", "--output", "json"}).out);
  EXPECT_EQ(json["name"], "jobs/k7f2m9");
  EXPECT_EQ(json["state"], "JOB_STATE_RUNNING");
  EXPECT_EQ(json["measures"]["variants"][1]["latency_s"]["value"], 1.204);
  EXPECT_THAT(table.out, Not(HasSubstr("against itself")));
  coordinator_.With([](FakeState& state) {
    v1::NoiseFloor& floor = *state.measures.mutable_noise_floor();
    floor.mutable_tokens_per_s()->set_value(.0021);
    floor.mutable_tokens_per_s()->set_floor(.0052);
  });
  EXPECT_THAT(Uaqf({"jobs", "show", "k7f"}).out,
              HasSubstr("\n\nfp16 against itself, in one process: +0.21 % tokens/s"));
  EXPECT_THAT(Uaqf({"jobs", "show", "k7f", "--output", "csv"}).out, StartsWith("variant,timing_records,"));
}

TEST_F(Cli, NamesAnAmbiguousJob) {
  coordinator_.Add(SampleJob("jobs/k7a", 0));
  coordinator_.Add(SampleJob("jobs/k7b", 0));
  const Outcome outcome = Uaqf({"jobs", "show", "k7"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("which? jobs/k7b, jobs/k7a"));
  EXPECT_EQ(Uaqf({"jobs", "show", "zz"}).code, 1);
}

TEST_F(Cli, RanksForAProfileOrForWeights) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  const Outcome text = Uaqf({"rank", "k7f", "--profile", "balanced"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, StartsWith("profile balanced   U = 0.4 S~"));
  const auto json = nlohmann::json::parse(Uaqf({"rank", "k7f", "--profile", "latency-c", "--output", "json"}).out);
  EXPECT_EQ(json["variants"][0]["variant"], "rtn-w8-channel");
  EXPECT_EQ(json["variants"][0]["utility"], 0.24);
  EXPECT_FALSE(json["variants"][2].contains("utility"));
  coordinator_.With([](FakeState& state) { EXPECT_EQ(state.last_rank.profile(), "profiles/latency-critical"); });
  const Outcome given = Uaqf({"rank", "k7f", "--weights", "speed=.5,quality=.5", "--formula", "regime", "--no-sanity"});
  EXPECT_EQ(given.code, 0) << given.err;
  coordinator_.With([](FakeState& state) {
    EXPECT_EQ(state.last_rank.inline_profile().formula(), v1::UTILITY_FORMULA_REGIME);
    EXPECT_TRUE(state.last_rank.ignore_sanity());
  });
}

TEST_F(Cli, RanksWithLimitsAndByPart) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  const Outcome outcome =
      Uaqf({"rank", "k7f", "--max", "latency-p95=2s", "--max", "price=3", "--price-per-hour", "1.5", "--by", "group"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("no prompt of the job has a group"));
  coordinator_.With([](FakeState& state) {
    ASSERT_EQ(state.last_rank.constraints_size(), 2);
    EXPECT_EQ(state.last_rank.constraints(0).figure(), v1::LIMITED_FIGURE_LATENCY_P95);
    EXPECT_EQ(state.last_rank.constraints(1).limit(), 3);
    EXPECT_EQ(state.last_rank.price_per_hour(), 1.5);
    EXPECT_EQ(state.last_rank.split(), v1::SPLIT_GROUP);
  });
}

TEST_F(Cli, ExitsWithFourWhenItIsNotDecidable) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  coordinator_.With([](FakeState& state) {
    state.failures["RankVariants"] = wire::Error(absl::StatusCode::kFailedPrecondition, kReasonNotDecidable,
                                                 "the profile weighs quality 0.6, and there are no quality records");
  });
  const Outcome outcome = Uaqf({"rank", "k7f"});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "error: not decidable: the profile weighs quality 0.6, and there are no quality records\n");
}

TEST_F(Cli, ShowsTheWayOutOfAConstraintThatCannotBeJudged) {
  coordinator_.Add(SampleJob("jobs/k7f2m9", 360));
  coordinator_.With([](FakeState& state) {
    state.failures["RankVariants"] = wire::Error(absl::StatusCode::kFailedPrecondition, kReasonNotDecidable,
                                                 "fp16 lacks the sanity constraint: no quality records");
  });
  const Outcome outcome = Uaqf({"rank", "k7f", "--weights", "speed=1"});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, EndsWith("\n  without the constraint: --no-sanity\n"));
}

TEST_F(Cli, KeepsProfiles) {
  const Outcome created = Uaqf({"profiles", "create", "mine", "--weights", "speed=1", "--description", "fast"});
  EXPECT_EQ(created.code, 0) << created.err;
  EXPECT_THAT(Uaqf({"profiles", "list"}).out, HasSubstr("mine"));
  EXPECT_THAT(Uaqf({"profiles", "show", "min"}).out, HasSubstr("description    fast"));
  EXPECT_EQ(Uaqf({"profiles", "delete", "min"}).code, 1) << "never by a beginning";
  EXPECT_EQ(Uaqf({"profiles", "delete", "mine"}).code, 0);
  const Outcome gone = Uaqf({"profiles", "show", "mine"});
  EXPECT_EQ(gone.code, 1);
  EXPECT_THAT(gone.err, HasSubstr("there are: balanced, latency-critical, memory, memory-constrained"));
  EXPECT_EQ(Uaqf({"profiles", "show", "memory"}).code, 0) << "a whole name wins";
}

TEST_F(Cli, ListsWorkersAndVariants) {
  coordinator_.With([](FakeState& state) {
    v1::Worker* worker = state.workers.add_workers();
    worker->set_name("workers/w1");
    worker->mutable_device()->set_id("cpu:host-a:0-1");
    worker->add_models()->set_model("smollm2-135m-instruct");
    v1::VariantInfo* variant = state.variants.add_variants();
    variant->set_variant("rtn-w4-g128");
    variant->set_reason("group size 128 does not divide 576");
  });
  EXPECT_EQ(Uaqf({"workers"}).out,
            "worker  device          hosts  variant  doing  chunks  failed  models\n"
            "w1      cpu:host-a:0-1  -      -        idle        0       -  smollm2-135m-instruct\n");
  EXPECT_EQ(nlohmann::json::parse(Uaqf({"workers", "--output", "json"}).out)["workers"].size(), 1u);
  EXPECT_EQ(Uaqf({"variants", "m"}).out,
            "variant      fits  description\n"
            "rtn-w4-g128  no    group size 128 does not divide 576\n");
  EXPECT_EQ(Uaqf({"variants", "m", "--output", "csv"}).out,
            "variant,fits,description,reason\nrtn-w4-g128,false,,group size 128 does not divide 576\n");
}

TEST_F(Cli, PrintsAnEmptyListAsJson) {
  EXPECT_EQ(nlohmann::json::parse(Uaqf({"workers", "--output", "json"}).out)["workers"].size(), 0u);
  EXPECT_EQ(nlohmann::json::parse(Uaqf({"jobs", "list", "--output", "json"}).out)["jobs"].size(), 0u);
}

TEST_F(Cli, PrintsRecordsAsTheyAreAskedFor) {
  coordinator_.Add(SampleJob("jobs/a", 2));
  coordinator_.With([](FakeState& state) {
    for (const char* variant : {"fp16", "rtn-w4-g64"}) {
      v1::StoredRecord& record = state.records.emplace_back();
      record.set_variant(variant);
      record.set_kind(v1::CHUNK_KIND_TIMING);
      record.mutable_record()->mutable_timing()->set_output_tokens(5);
    }
  });
  const Outcome csv = Uaqf({"jobs", "records", "a", "--variant", "fp16", "--output", "csv"});
  EXPECT_EQ(csv.code, 0) << csv.err;
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 2);
  const Outcome json = Uaqf({"jobs", "records", "a", "--output", "json"});
  const std::string line = json.out.substr(0, json.out.find('\n'));
  EXPECT_EQ(nlohmann::json::parse(line)["record"]["timing"]["output_tokens"], 5);
  EXPECT_EQ(Uaqf({"jobs", "records", "a", "--kind", "perplexity", "--output", "json"}).out, "");
  EXPECT_EQ(Uaqf({"jobs", "records", "a", "--variant", "gptq"}).code, 2);
}

TEST_F(Cli, ShowsWhatEachVariantIsInFull) {
  coordinator_.Add(SampleJob("jobs/a", 2));
  coordinator_.With([](FakeState& state) {
    v1::VariantConfiguration& configuration = *state.measures.add_configurations();
    configuration.set_variant("gptq-w4");
    configuration.set_digest(std::string(64, 'd'));
    configuration.set_configuration("{\"damp\":0.01}");
  });
  EXPECT_THAT(Uaqf({"jobs", "configurations", "a"}).out, HasSubstr("gptq-w4  dddddddddddd  {\"damp\":0.01}\n"));
  EXPECT_EQ(Uaqf({"jobs", "configurations", "a", "--output", "csv"}).out,
            "variant,digest,configuration\ngptq-w4," + std::string(64, 'd') + ",\"{\"\"damp\"\":0.01}\"\n");
  const auto json = nlohmann::json::parse(Uaqf({"jobs", "configurations", "a", "--output", "json"}).out);
  EXPECT_EQ(json["configurations"][0]["configuration"], "{\"damp\":0.01}");
  EXPECT_EQ(json["configurations"][0]["digest"], std::string(64, 'd'));
}

TEST_F(Cli, CancelsAndSaysWhatStays) {
  coordinator_.Add(SampleJob("jobs/a", 7));
  EXPECT_EQ(Uaqf({"jobs", "cancel", "a"}).out, "cancelled jobs/a; 7 records stay and can be ranked\n");
  EXPECT_EQ(Uaqf({"jobs", "cancel", "a"}).out, "jobs/a had ended; nothing changed\n");
}

// The whole watch in a pipe: an event on each line, then the table.
TEST_F(Cli, WatchesToTheEndInPlainLines) {
  coordinator_.Add(SampleJob("jobs/a", 36));
  ProgramRun run({"jobs", "watch", "a", "--server", coordinator_.address()});
  ASSERT_TRUE(run.AwaitOutput("36/360"));
  coordinator_.Change("jobs/a", [](v1::Job& job) { job.mutable_progress()->set_records_done(180); });
  ASSERT_TRUE(run.AwaitOutput("180/360"));
  coordinator_.Change("jobs/a", [](v1::Job& job) {
    job.mutable_progress()->set_records_done(360);
    job.set_state(v1::JOB_STATE_SUCCEEDED);
  });
  const Outcome outcome = run.Finish();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              StartsWith("measure    10 %  36/360\nmeasure    50 %  180/360\ndone      jobs/a: 360 records\n"
                         "\nvariant         latency s"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\033")));
}

TEST_F(Cli, WatchesThroughARestartOfTheCoordinator) {
  coordinator_.Add(SampleJob("jobs/a", 36));
  ProgramRun run({"jobs", "watch", "a", "--server", coordinator_.address()});
  ASSERT_TRUE(run.AwaitOutput("36/360"));
  coordinator_.Stop();
  ASSERT_TRUE(run.AwaitOutput("waiting   lost the coordinator"));
  coordinator_.Start();
  ASSERT_TRUE(run.AwaitOutput("the coordinator is back")) << run.Finish().out << run.Finish().err;
  coordinator_.Change("jobs/a", [](v1::Job& job) { job.set_state(v1::JOB_STATE_SUCCEEDED); });
  EXPECT_EQ(run.Finish().code, 0);
}

TEST_F(Cli, WatchEndsWithCtrlCAndTheJobGoesOn) {
  coordinator_.Add(SampleJob("jobs/a", 36));
  ProgramRun run({"jobs", "watch", "a", "--server", coordinator_.address()});
  ASSERT_TRUE(run.AwaitOutput("36/360"));
  run.Signal(SIGINT);
  const Outcome outcome = run.Finish();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("jobs/a goes on; return to it: uaqf jobs watch jobs/a"));
  coordinator_.With([](FakeState& state) { EXPECT_EQ(state.jobs[0].state(), v1::JOB_STATE_RUNNING); });
}

TEST_F(Cli, AWatchedJobThatFailsOrIsCancelledExitsWithOne) {
  v1::Job failed = SampleJob("jobs/f", 0);
  failed.set_state(v1::JOB_STATE_FAILED);
  failed.set_error("no variant could be hosted");
  coordinator_.Add(failed);
  const Outcome outcome = Uaqf({"jobs", "watch", "f"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, StartsWith("error: jobs/f failed: no variant could be hosted\n"));
}

TEST_F(Cli, WatchesAsJsonLines) {
  v1::Job ended = SampleJob("jobs/a", 360);
  ended.set_state(v1::JOB_STATE_SUCCEEDED);
  coordinator_.Add(ended);
  const Outcome outcome = Uaqf({"jobs", "watch", "a", "--output", "json"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["state"], "JOB_STATE_SUCCEEDED");
}

TEST_F(Cli, HintsAndColoursOnATerminalOnly) {
  v1::Job ended = SampleJob("jobs/a", 360);
  ended.set_state(v1::JOB_STATE_SUCCEEDED);
  coordinator_.Add(ended);
  const Outcome terminal = Uaqf({"jobs", "show", "a"}, kTerminal);
  EXPECT_THAT(terminal.out, HasSubstr("\033["));
  EXPECT_THAT(terminal.out, HasSubstr("next: uaqf rank jobs/a --profile balanced"));
  const Outcome plain = Uaqf({"jobs", "show", "a"}, kTerminal, {{"NO_COLOR", "1"}});
  EXPECT_THAT(plain.out, Not(HasSubstr("\033[")));
  EXPECT_THAT(plain.out, HasSubstr("next: uaqf rank jobs/a --profile balanced"));
  const Outcome dumb = Uaqf({"jobs", "show", "a"}, kTerminal, {{"TERM", "dumb"}});
  EXPECT_THAT(dumb.out, Not(HasSubstr("\033[")));
  const Outcome piped = Uaqf({"jobs", "show", "a"});
  EXPECT_THAT(piped.out, Not(HasSubstr("\033[")));
  EXPECT_THAT(piped.out, Not(HasSubstr("next:")));
  const Outcome json = Uaqf({"jobs", "show", "a", "--output", "json"}, kTerminal);
  EXPECT_THAT(json.out, Not(HasSubstr("next:")));
}

TEST_F(Cli, TellsAFullDisk) {
  const Outcome outcome = ProgramRun({"completion", "bash"}).Finish();
  EXPECT_EQ(outcome.code, 0);
  const int rc = std::system((test::Program("uaqf") + " completion bash > /dev/full 2> /dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(rc), 1);
}

TEST_F(Cli, CompletesItsOwnCommands) {
  const std::string script = File("completion.bash", Uaqf({"completion", "bash"}).out);
  const std::string result = test::ScratchFolder() + "/words";
  const auto complete = [&](const std::string& words) {
    const std::string command =
        absl::StrCat("bash -c 'source ", script, "; COMP_WORDS=(", words,
                     "); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _uaqf; echo \"${COMPREPLY[@]}\" > ", result, "'");
    EXPECT_EQ(std::system(command.c_str()), 0);
    return test::ReadFile(result);
  };
  EXPECT_EQ(complete("uaqf wor"), "workers\n");
  EXPECT_EQ(complete("uaqf jobs sub"), "submit\n");
  EXPECT_EQ(complete("uaqf jobs submit --output-l"), "--output-length\n");
  EXPECT_EQ(complete("uaqf jobs submit --output-length n"), "natural\n");
  EXPECT_EQ(complete("uaqf rank k7f --output c"), "csv\n");
  EXPECT_THAT(Uaqf({"completion", "zsh"}).out, StartsWith("#compdef uaqf\n"));
}

TEST_F(Cli, KnowsItsVersion) {
  EXPECT_THAT(Uaqf({"version"}).out, StartsWith("uaqf "));
  EXPECT_THAT(Uaqf({"--version"}).out, StartsWith("uaqf "));
  EXPECT_EQ(nlohmann::json::parse(Uaqf({"version", "--output", "json"}).out)["contract"], "uaqf.v1");
}

}  // namespace
}  // namespace uaqf::client
