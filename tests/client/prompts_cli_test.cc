// Making prompt sets from published files and from our own, at the command line.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/client/cli_fixture.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PromptsCli : public Cli {
 protected:
  // GSM8K in small: 40 items.
  std::string Gsm8k() {
    std::string rows;
    for (int i = 0; i < 40; ++i) {
      absl::StrAppend(&rows, "{\"question\": \"What is ", i, " + 1?\", \"answer\": \"Count.\\n#### ", i + 1, "\"}\n");
    }
    return File("test.jsonl", rows);
  }
};

TEST_F(PromptsCli, ImportsTheSameItemsForTheSameSeed) {
  const std::string file = Gsm8k();
  const Outcome first = Uaqf({"prompts", "import", "gsm8k", file, "--sample", "5", "--seed", "7"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, StartsWith("source    gsm8k: 5 of 40 items of test.jsonl (sha256 "));
  EXPECT_THAT(first.out, HasSubstr("drawn with seed 7\nprompts   5 in 1 category, uploaded as gsm8k-5-seed7 (sha256 "));
  const Outcome again = Uaqf({"prompts", "import", "gsm8k", file, "--sample", "5", "--seed", "7"});
  EXPECT_THAT(again.out, HasSubstr("already on the server as gsm8k-5-seed7"));
  const Outcome other = Uaqf({"prompts", "import", "gsm8k", file, "--sample", "5", "--seed", "8"});
  EXPECT_THAT(other.out, HasSubstr("uploaded as gsm8k-5-seed8"));
  coordinator_.With([](FakeState& state) {
    ASSERT_EQ(state.sets.size(), 2u);
    EXPECT_EQ(state.sets[1].sources(0).seed(), 7u);
    const v1::Prompt& item = state.items[state.sets[1].name()][0];
    EXPECT_FALSE(item.task().numeric().value().empty());
    EXPECT_EQ(item.group(), v1::PROMPT_GROUP_MATH_ANALYTICAL);
  });
}

TEST_F(PromptsCli, ShowsWithoutACoordinatorWhatItWouldUpload) {
  const std::string file = Gsm8k();
  coordinator_.Stop();
  const Outcome shown = Uaqf({"prompts", "import", "gsm8k", file, "--sample", "5", "--dry-run", "--preview", "2"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("category        group            items\nmath_reasoning  Math/Analytical      5\n"));
  EXPECT_THAT(shown.out, HasSubstr("? Answer:\n  right: "));
  EXPECT_THAT(shown.out, HasSubstr("dry run   nothing uploaded; it would be gsm8k-5-seed1, 5 items, "));
  const Outcome json = Uaqf({"prompts", "import", "gsm8k", file, "--dry-run", "--output", "json"});
  const auto document = nlohmann::json::parse(json.out);
  EXPECT_EQ(document["prompt_set"]["prompt_count"], 40);
  EXPECT_EQ(document["prompt_set"]["sources"][0]["importer_version"], 1);
  EXPECT_FALSE(document["prompt_set"]["sources"][0].contains("seed")) << "nothing was drawn";
  EXPECT_EQ(document["preview"].size(), 3u);
  EXPECT_EQ(document["preview"][0]["task"]["numeric"]["value"], "1");
  const Outcome own = Uaqf({"prompts", "import", TwoPrompts(), "--dry-run"});
  EXPECT_THAT(own.out, HasSubstr("it would be two, 2 items"));
}

TEST_F(PromptsCli, UploadsNothingOfAFileWithABadItem) {
  const std::string file = File("test.jsonl",
                                "{\"question\": \"A?\", \"answer\": \"#### 1\"}\n"
                                "{\"question\": \"B?\", \"answer\": \"two\"}\n");
  const Outcome outcome = Uaqf({"prompts", "import", "gsm8k", file, "--sample", "1"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, absl::StrCat("error: ", file,
                                      ":2: got an answer without \"####\", expected one that ends with "
                                      "\"#### NUMBER\"\n"));
  coordinator_.With([](FakeState& state) { EXPECT_TRUE(state.sets.empty()); });
}

TEST_F(PromptsCli, SaysWhatIsWrongWithTheFlagsOfADraw) {
  const std::string file = Gsm8k();
  const auto told = [&](std::vector<std::string> flags) {
    std::vector<std::string> arguments = {"prompts", "import"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Outcome outcome = Uaqf(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.out;
    return outcome.err;
  };
  EXPECT_THAT(told({"gsm8k", file, "--sample", "41"}), HasSubstr("got a draw of 41, expected at most 40"));
  EXPECT_THAT(told({"gsm8k", file, "--sample", "0"}), HasSubstr("got --sample 0, expected 1 or more"));
  EXPECT_THAT(told({"gsm8k", file, "--seed", "7"}), HasSubstr("got --seed without anything to draw"));
  EXPECT_THAT(told({"gsm8k", file, "--shots", "2"}), HasSubstr("got --shots without --shots-from, expected both"));
  EXPECT_THAT(told({"gsm8k", file, "--take", "2"}), HasSubstr("got --take, which the import of gsm8k does not take"));
  EXPECT_THAT(told({"--name", "x", "gsm8k", file}), HasSubstr("got --name, which the import of gsm8k does not take"));
  EXPECT_THAT(told({"gsm8k"}), HasSubstr("FILE"));
  EXPECT_THAT(told({"ifeval", file}), HasSubstr("is this a file of ifeval?"));
  EXPECT_EQ(Uaqf({"prompts", "import", "gsm8k", "/no/such"}).code, 1);
}

TEST_F(PromptsCli, JoinsTheRowsOfATextUnderADigestAndLabelOfTheirOwn) {
  const std::string file = File("wiki.test.raw", " \n = Title = \n \n Text .\n");
  EXPECT_THAT(Uaqf({"prompts", "import", file, "--kind", "text"}).out, HasSubstr("uploaded as wiki.test (sha256 "));
  const Outcome joined = Uaqf({"prompts", "import", file, "--join-rows"});
  EXPECT_EQ(joined.code, 0) << joined.err;
  EXPECT_THAT(joined.out, HasSubstr("uploaded as wiki.test-joined (sha256 "));
  coordinator_.With([](FakeState& state) {
    ASSERT_EQ(state.sets.size(), 2u);
    for (const v1::PromptSet& set : state.sets) {
      EXPECT_EQ(set.kind(), v1::PROMPT_SET_KIND_TEXT);
      if (set.display_name() != "wiki.test-joined") continue;
      EXPECT_EQ(state.items[set.name()][0].text(), "\n\n = Title = \n\n\n\n\n Text .\n");
    }
  });
  const Outcome prompts = Uaqf({"prompts", "import", file, "--kind", "prompts", "--join-rows"});
  EXPECT_EQ(prompts.code, 2);
  EXPECT_EQ(prompts.err, "error: got --join-rows with prompts, expected it with a text only\n");
}

TEST_F(PromptsCli, NamesSourceAndLicenceInTheHelpOfEachDataset) {
  for (const char* dataset : {"gsm8k", "commonsense_qa", "triviaqa", "alpaca", "ifeval"}) {
    const Outcome help = Uaqf({"prompts", "import", dataset, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("\nfrom: https://"));
    EXPECT_THAT(help.out, HasSubstr("\nlicence: "));
  }
}

// Situation: a folder that holds nothing of the project.
TEST_F(PromptsCli, CarriesOurOwnPromptsWhereverItRuns) {
  const Outcome outcome = Uaqf({"prompts", "build", "synthetic", "--output", "json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto set = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(set["prompt_count"], 900);
  EXPECT_EQ(set["categories"].size(), 9u);
  EXPECT_EQ(set["sources"][0]["dataset"], "uaqf");
}

TEST_F(PromptsCli, BuildsThePapersSuiteFromItsFourFiles) {
  UAQF_NEED_DATA("gsm8k/test.jsonl");
  const std::vector<std::string> build = {"prompts",
                                          "build",
                                          "paper-suite",
                                          "--gsm8k",
                                          test::SharedData("gsm8k/test.jsonl"),
                                          "--commonsense-qa",
                                          test::SharedData("commonsense_qa/validation.jsonl"),
                                          "--alpaca",
                                          test::SharedData("alpaca/user_oriented_instructions.jsonl"),
                                          "--triviaqa",
                                          test::SharedData("triviaqa/open_test_sample1000.jsonl"),
                                          "--seed",
                                          "7"};
  const Outcome outcome = Uaqf(build);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("prompts   1700 in 13 categories, uploaded as paper-suite-seed7"));
  EXPECT_THAT(Uaqf({"prompts", "build", "paper-suite", "--seed", "7"}).err, HasSubstr("--commonsense-qa is required"));
}

}  // namespace
}  // namespace uaqf::client
